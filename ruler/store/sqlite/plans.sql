-- Which planned work a change was part of, apart from the sentence that says so.
ALTER TABLE changes ADD COLUMN plan TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN plan_who TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN plan_why TEXT NOT NULL DEFAULT '';
