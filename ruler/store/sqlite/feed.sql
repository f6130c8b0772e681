-- What changed, in the order of the commits, for whoever watches. The database
-- writes it itself, so that nothing that writes can forget it.
CREATE TABLE feed (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL);
CREATE TRIGGER feed_notification_new AFTER INSERT ON notifications BEGIN INSERT INTO feed (kind, id) VALUES ('notification', new.id); END;
CREATE TRIGGER feed_notification AFTER UPDATE ON notifications BEGIN INSERT INTO feed (kind, id) VALUES ('notification', new.id); END;
CREATE TRIGGER feed_desk_new AFTER INSERT ON desk BEGIN INSERT INTO feed (kind, id) VALUES ('notification', new.notification); END;
CREATE TRIGGER feed_desk AFTER UPDATE ON desk BEGIN INSERT INTO feed (kind, id) VALUES ('notification', new.notification); END;
CREATE TRIGGER feed_server_new AFTER INSERT ON servers BEGIN INSERT INTO feed (kind, id) VALUES ('server', lower(hex(new.id))); END;
CREATE TRIGGER feed_server AFTER UPDATE ON servers
WHEN old.state <> new.state OR old.open <> new.open OR old.worst <> new.worst OR old.name <> new.name OR old.site <> new.site OR old.clones <> new.clones
BEGIN INSERT INTO feed (kind, id) VALUES ('server', lower(hex(new.id))); END;
