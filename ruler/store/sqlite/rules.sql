-- Rules made in the interface, their versions, switches for rules of files,
-- generations and where they took effect, and what each rule said per day.
ALTER TABLE partitions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
CREATE TABLE rules (
  id TEXT PRIMARY KEY, yaml TEXT NOT NULL, enabled INTEGER NOT NULL, deleted INTEGER NOT NULL, version INTEGER NOT NULL,
  author TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE rule_versions (
  rule TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, action TEXT NOT NULL,
  comment TEXT NOT NULL, yaml TEXT NOT NULL, PRIMARY KEY (rule, version)
) WITHOUT ROWID;
CREATE TABLE rule_switches (
  rule TEXT PRIMARY KEY, enabled INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, comment TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE generations (
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, rules TEXT NOT NULL, changes TEXT NOT NULL
);
CREATE TABLE generation_entries (
  generation INTEGER NOT NULL, partition INTEGER NOT NULL, incarnation TEXT NOT NULL, entry INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (generation, partition)
) WITHOUT ROWID;
CREATE TABLE rule_verdicts (
  rule TEXT NOT NULL, day INTEGER NOT NULL, effect TEXT NOT NULL, n INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (rule, day, effect)
);
