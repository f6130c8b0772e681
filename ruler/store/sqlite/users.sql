-- Who may log in to the console, the links by which they choose a password, and
-- the browsers in which they are logged in. Secrets are kept as hashes only.
CREATE TABLE users (
  id TEXT PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE UNIQUE, role TEXT NOT NULL, password TEXT NOT NULL,
  created_by TEXT NOT NULL, created INTEGER NOT NULL, chosen INTEGER NOT NULL DEFAULT 0, login INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE login_links (user TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (hash BLOB PRIMARY KEY, user TEXT NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
