-- What people do with notifications, and what Alertmanagers must not tell.
CREATE TABLE desk (
  notification TEXT PRIMARY KEY, revision INTEGER NOT NULL, acked INTEGER NOT NULL, acked_by TEXT NOT NULL,
  assignee TEXT NOT NULL, comments INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE deeds (
  id INTEGER PRIMARY KEY AUTOINCREMENT, notification TEXT NOT NULL, at INTEGER NOT NULL,
  actor TEXT NOT NULL, via TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX deeds_notification ON deeds (notification, id);
CREATE TABLE silences (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, notification TEXT NOT NULL, matchers TEXT NOT NULL,
  starts INTEGER NOT NULL, ends INTEGER NOT NULL, reason TEXT NOT NULL, sets INTEGER NOT NULL,
  actor TEXT NOT NULL, via TEXT NOT NULL, created INTEGER NOT NULL,
  lifted INTEGER NOT NULL DEFAULT 0, lifted_by TEXT NOT NULL DEFAULT '', lift_reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX silences_standing ON silences (ends) WHERE lifted = 0;
CREATE INDEX silences_notification ON silences (notification) WHERE notification <> '';
CREATE TABLE silence_targets (
  silence TEXT NOT NULL, target TEXT NOT NULL, at INTEGER NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (silence, target)
) WITHOUT ROWID;
