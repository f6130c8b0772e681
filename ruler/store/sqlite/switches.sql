-- A switch says how often it was turned, so that two people do not turn it at once.
ALTER TABLE rule_switches ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
