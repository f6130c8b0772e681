-- Which lines of the log change whether its server counts as one of its site, rack
-- and subnet, or where: what a server was in between costs no question of the past.
ALTER TABLE server_log ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;
UPDATE server_log SET turns = 1 WHERE kind = 'labels' OR n IN (SELECT n FROM (
  SELECT n, value ->> 'state' IN ('up', 'silent') AS now, lag(value ->> 'state' IN ('up', 'silent'), 1, 0) OVER (PARTITION BY server ORDER BY n) AS was
  FROM server_log WHERE kind = 'state') WHERE now <> was);
CREATE INDEX server_log_turns ON server_log (at, server, kind) WHERE turns = 1;
