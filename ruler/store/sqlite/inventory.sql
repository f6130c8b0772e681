-- What a server's row said from a time on: labels, facts and state, each as a
-- JSON object, written when it became another one.
CREATE TABLE server_log (
  n INTEGER PRIMARY KEY, server BLOB NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, value TEXT NOT NULL
);
CREATE INDEX server_log_server ON server_log (server, kind, n);
CREATE INDEX server_log_at ON server_log (at);
INSERT INTO server_log (server, kind, at, value)
  SELECT id, 'labels', enrolled, json_object('name', name, 'site', site, 'rack', rack, 'role', role, 'owner', owner, 'simulated', json(CASE simulated WHEN 0 THEN 'false' ELSE 'true' END)) FROM servers;
INSERT INTO server_log (server, kind, at, value)
  SELECT id, 'state', state_since, json_object('state', state, 'reason', state_reason) FROM servers;

-- Who sat where, and from when to when: 0 = still there. It is what the life
-- of a serial number across servers is read from.
CREATE TABLE occupants (
  n INTEGER PRIMARY KEY, serial TEXT NOT NULL, server BLOB NOT NULL, category INTEGER NOT NULL, type TEXT NOT NULL, place TEXT NOT NULL,
  model TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX occupants_serial ON occupants (serial, since);
CREATE INDEX occupants_place ON occupants (server, category, type, place) WHERE until = 0;
INSERT INTO occupants (serial, server, category, type, place, model, since, until)
  SELECT occupant, server, category, type, place, coalesce(json_extract(fields, '$.model'), ''), first, removed FROM devices WHERE occupant <> '';

ALTER TABLE changes ADD COLUMN occupant TEXT NOT NULL DEFAULT '';
CREATE INDEX changes_occupant ON changes (occupant) WHERE occupant <> '';
CREATE INDEX changes_before ON changes (before) WHERE kind <> 'field' AND before <> '';
CREATE INDEX changes_after ON changes (after) WHERE kind <> 'field' AND after <> '';
