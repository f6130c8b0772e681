-- Parts that move between servers: what partitions tell the fleet operator of
-- them, both ends of a change, and why nobody was told of one.
ALTER TABLE facts ADD COLUMN category INTEGER NOT NULL DEFAULT 0;
ALTER TABLE facts ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE facts ADD COLUMN record_id TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN from_server BLOB NOT NULL DEFAULT x'';
ALTER TABLE changes ADD COLUMN muted TEXT NOT NULL DEFAULT '';
CREATE INDEX changes_from ON changes (from_server, id) WHERE from_server <> x'';
CREATE INDEX occupants_left ON occupants (server, until) WHERE until <> 0;
