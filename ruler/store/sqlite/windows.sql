-- Planned work made in the interface: every edit is a row, the newest holds.
CREATE TABLE planned_work (
  id TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, action TEXT NOT NULL,
  comment TEXT NOT NULL, yaml TEXT NOT NULL, PRIMARY KEY (id, version)
) WITHOUT ROWID;
