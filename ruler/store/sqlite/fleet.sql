-- What the list of servers shows of their devices: kept up to date with them.
ALTER TABLE servers ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN updates INTEGER NOT NULL DEFAULT -1; -- that wait; -1 = not known
ALTER TABLE servers ADD COLUMN updates_security INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN reboot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN model TEXT GENERATED ALWAYS AS (coalesce(json_extract(fields, '$.model'), '')) VIRTUAL;
ALTER TABLE devices ADD COLUMN firmware TEXT GENERATED ALWAYS AS (coalesce(json_extract(fields, '$.firmware'), '')) VIRTUAL;
-- Categories 5 and 6, updates and software, are many and have their own questions.
CREATE INDEX devices_kind ON devices (type, model, firmware, state, occupant) WHERE removed = 0 AND category NOT IN (5, 6);
CREATE INDEX devices_pending ON devices (place) WHERE removed = 0 AND type = 'update_pending';
UPDATE servers SET
  model = coalesce((SELECT d.model FROM devices d WHERE d.server = servers.id AND d.category = 4 AND d.type = 'system' AND d.removed = 0 LIMIT 1), ''),
  reboot = coalesce((SELECT json_extract(d.fields, '$.reboot_required') IN (1, 'true') FROM devices d WHERE d.server = servers.id AND d.category = 5 AND d.type = 'update_status' LIMIT 1), 0),
  updates_security = (SELECT count(*) FROM devices d WHERE d.server = servers.id AND d.category = 5 AND d.type = 'update_pending' AND d.removed = 0 AND json_extract(d.fields, '$.security') IN (1, 'true')),
  updates = CASE WHEN EXISTS (SELECT 1 FROM devices d WHERE d.server = servers.id AND d.category = 5 AND d.type = 'update_status' AND d.state <> 'unknown')
    THEN (SELECT count(*) FROM devices d WHERE d.server = servers.id AND d.category = 5 AND d.type = 'update_pending' AND d.removed = 0) ELSE -1 END;
