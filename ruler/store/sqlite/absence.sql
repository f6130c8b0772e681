-- Where a server connects from, as a bridge saw it: silences are folded by
-- subnet, and a silent machine is asked whether it still answers.
ALTER TABLE servers ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN subnet TEXT NOT NULL DEFAULT '';
CREATE INDEX servers_address ON servers (address) WHERE address <> '';
CREATE INDEX servers_groups ON servers (site, rack, subnet, simulated, state, clone_of);
ALTER TABLE facts ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications ADD COLUMN probe TEXT NOT NULL DEFAULT '';
