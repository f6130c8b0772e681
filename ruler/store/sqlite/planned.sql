-- Changes that were planned are few among many.
CREATE INDEX changes_muted ON changes (id) WHERE muted <> '';
