-- A generated column counts as every column that it could be made of, so that
-- no index with one covers a query; and JSON is read once, when it is written.
DROP TRIGGER device_kinds_new;
DROP TRIGGER device_kinds_gone;
DROP TRIGGER device_kinds_other;
DROP INDEX devices_kind;
ALTER TABLE devices DROP COLUMN model;
ALTER TABLE devices DROP COLUMN firmware;
ALTER TABLE devices ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN firmware TEXT NOT NULL DEFAULT '';
UPDATE devices SET model = coalesce(json_extract(fields, '$.model'), ''), firmware = coalesce(json_extract(fields, '$.firmware'), '')
  WHERE coalesce(json_extract(fields, '$.model'), json_extract(fields, '$.firmware')) IS NOT NULL;
CREATE INDEX devices_kind ON devices (type, model, firmware, state, occupant) WHERE removed = 0 AND category NOT IN (5, 6);
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
