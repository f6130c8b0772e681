-- How many devices of a kind there are, those that are there, updates and
-- software left out: counting a large fleet's takes longer than a page may.
CREATE TABLE device_kinds (
  type TEXT NOT NULL, model TEXT NOT NULL, firmware TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (type, model, firmware, state)
) WITHOUT ROWID;
INSERT INTO device_kinds SELECT type, model, firmware, state, count(*) FROM devices WHERE removed = 0 AND category NOT IN (5, 6) GROUP BY 1, 2, 3, 4;
CREATE TRIGGER device_kinds_new AFTER INSERT ON devices WHEN new.removed = 0 AND new.category NOT IN (5, 6) BEGIN
  INSERT INTO device_kinds VALUES (new.type, new.model, new.firmware, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER device_kinds_gone AFTER DELETE ON devices WHEN old.removed = 0 AND old.category NOT IN (5, 6) BEGIN
  UPDATE device_kinds SET n = n - 1 WHERE type = old.type AND model = old.model AND firmware = old.firmware AND state = old.state;
  DELETE FROM device_kinds WHERE n = 0 AND type = old.type AND model = old.model AND firmware = old.firmware AND state = old.state;
END;
CREATE TRIGGER device_kinds_other AFTER UPDATE ON devices
WHEN old.category NOT IN (5, 6) AND (old.removed = 0) + (new.removed = 0) > 0
  AND ((old.removed = 0) <> (new.removed = 0) OR old.model <> new.model OR old.firmware <> new.firmware OR old.state <> new.state) BEGIN
  UPDATE device_kinds SET n = n - 1 WHERE old.removed = 0 AND type = old.type AND model = old.model AND firmware = old.firmware AND state = old.state;
  INSERT INTO device_kinds SELECT new.type, new.model, new.firmware, new.state, 1 WHERE new.removed = 0 ON CONFLICT DO UPDATE SET n = n + 1;
  DELETE FROM device_kinds WHERE n = 0 AND type = old.type AND model = old.model AND firmware = old.firmware AND state = old.state;
END;
