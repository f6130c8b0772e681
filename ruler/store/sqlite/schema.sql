-- Version 1. Times are Unix nanoseconds, 0 = not known. Later versions are
-- further files: this one never changes once released.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE partitions (
  id INTEGER PRIMARY KEY,
  incarnation TEXT NOT NULL DEFAULT '', entry INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',
  stream_time INTEGER NOT NULL DEFAULT 0, clock INTEGER NOT NULL DEFAULT 0,
  committed INTEGER NOT NULL DEFAULT 0, frozen TEXT NOT NULL DEFAULT '',
  ledger TEXT NOT NULL DEFAULT '{}', losses TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE state_base (partition INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE state_delta (n INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX state_delta_partition ON state_delta (partition, n);

CREATE TABLE servers (
  id BLOB PRIMARY KEY, partition INTEGER NOT NULL,
  clone_of BLOB NOT NULL DEFAULT x'', clones INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL DEFAULT '', site TEXT NOT NULL DEFAULT '', rack TEXT NOT NULL DEFAULT '',
  role TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT '', simulated INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'waiting', state_reason TEXT NOT NULL DEFAULT '', state_since INTEGER NOT NULL DEFAULT 0,
  os_name TEXT NOT NULL DEFAULT '', os_type TEXT NOT NULL DEFAULT '', os_version TEXT NOT NULL DEFAULT '', os_build TEXT NOT NULL DEFAULT '',
  boot_time INTEGER NOT NULL DEFAULT 0, exporter_version TEXT NOT NULL DEFAULT '',
  reported_name TEXT NOT NULL DEFAULT '', machine_id TEXT NOT NULL DEFAULT '', smbios_uuid TEXT NOT NULL DEFAULT '',
  enrolled INTEGER NOT NULL DEFAULT 0, last_seen INTEGER NOT NULL DEFAULT 0,
  interval INTEGER NOT NULL DEFAULT 0, skew INTEGER NOT NULL DEFAULT 0,
  open INTEGER NOT NULL DEFAULT 0, worst INTEGER NOT NULL DEFAULT 0, worst_word TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX servers_partition ON servers (partition);
CREATE INDEX servers_state ON servers (state, state_since);

CREATE TABLE devices (
  server BLOB NOT NULL, category INTEGER NOT NULL, type TEXT NOT NULL, place TEXT NOT NULL,
  occupant TEXT NOT NULL, state TEXT NOT NULL, fields TEXT NOT NULL,
  first INTEGER NOT NULL, changed INTEGER NOT NULL, removed INTEGER NOT NULL,
  PRIMARY KEY (server, category, type, place)
) WITHOUT ROWID;
CREATE INDEX devices_occupant ON devices (occupant) WHERE occupant <> '';

CREATE TABLE snapshots (n INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL);
CREATE TABLE current (
  server BLOB NOT NULL, category INTEGER NOT NULL, at INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (server, category)
) WITHOUT ROWID;
CREATE TABLE history (
  n INTEGER PRIMARY KEY, server BLOB NOT NULL, category INTEGER NOT NULL, at INTEGER NOT NULL,
  hash BLOB NOT NULL, record_id TEXT NOT NULL, changes INTEGER NOT NULL
);
CREATE INDEX history_server ON history (server, at);
CREATE INDEX history_at ON history (at);
CREATE INDEX history_hash ON history (hash);
CREATE INDEX current_hash ON current (hash);

CREATE TABLE changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, server BLOB NOT NULL, category INTEGER NOT NULL,
  at INTEGER NOT NULL, stream INTEGER NOT NULL, kind TEXT NOT NULL, type TEXT NOT NULL, place TEXT NOT NULL,
  field TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, from_place TEXT NOT NULL,
  record_id TEXT NOT NULL, hash BLOB NOT NULL
);
CREATE INDEX changes_server ON changes (server, id);
CREATE INDEX changes_stream ON changes (stream);

CREATE TABLE notifications (
  id TEXT PRIMARY KEY, partition INTEGER NOT NULL, server BLOB NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL,
  class TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL, rank INTEGER NOT NULL, rule_id TEXT NOT NULL,
  title TEXT NOT NULL, reason TEXT NOT NULL, site TEXT NOT NULL,
  opened INTEGER NOT NULL, changed INTEGER NOT NULL, resolved INTEGER NOT NULL,
  muted TEXT NOT NULL, folded_into TEXT NOT NULL, held INTEGER NOT NULL, simulated INTEGER NOT NULL,
  labels TEXT NOT NULL, annotations TEXT NOT NULL, parts TEXT NOT NULL, saved BLOB NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notifications_state ON notifications (state, changed);
CREATE INDEX notifications_changed ON notifications (changed);
CREATE INDEX notifications_server ON notifications (server, state);
CREATE INDEX notifications_open ON notifications (partition) WHERE state = 'firing';
CREATE INDEX notifications_folded ON notifications (folded_into) WHERE folded_into <> '';
CREATE TABLE evidence (
  n INTEGER PRIMARY KEY, notification TEXT NOT NULL, at INTEGER NOT NULL, event INTEGER NOT NULL, effect TEXT NOT NULL,
  rule_id TEXT NOT NULL, reason TEXT NOT NULL, record_id TEXT NOT NULL, category INTEGER NOT NULL, name TEXT NOT NULL,
  body TEXT NOT NULL, attrs TEXT NOT NULL, raw TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, cut INTEGER NOT NULL
);
CREATE INDEX evidence_notification ON evidence (notification, n);
CREATE TABLE deliveries (
  notification TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
  first INTEGER NOT NULL, at INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (notification, target, state)
) WITHOUT ROWID;

CREATE TABLE facts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
  server BLOB NOT NULL, site TEXT NOT NULL, rack TEXT NOT NULL, simulated INTEGER NOT NULL, notification TEXT NOT NULL
);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
  subject TEXT NOT NULL, detail TEXT NOT NULL
);
