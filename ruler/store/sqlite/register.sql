ALTER TABLE servers ADD COLUMN labels_from TEXT NOT NULL DEFAULT '';
CREATE INDEX servers_name ON servers (lower(name));
CREATE INDEX servers_reported ON servers (lower(reported_name));
-- What people say that there is: servers that are expected, whose they are,
-- until when somebody mends them. key is the name in lower case.
CREATE TABLE register (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, serial TEXT NOT NULL, site TEXT NOT NULL, rack TEXT NOT NULL, role TEXT NOT NULL, owner TEXT NOT NULL,
  warranty INTEGER NOT NULL, contract TEXT NOT NULL, note TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL, by TEXT NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
