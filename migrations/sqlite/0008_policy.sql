-- Policies in Cedar, of organizations and, under '', of the hub. The newest of a
-- scope is in force; those before it tell what was. A text of '' takes it away.
CREATE TABLE policies (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    scope  TEXT NOT NULL,
    text   TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at INTEGER NOT NULL
) STRICT;
CREATE INDEX policies_scope ON policies (scope, id);

-- Who pushed a version first, '' for those from before this was kept.
ALTER TABLE versions ADD COLUMN pushed_by TEXT NOT NULL DEFAULT '';
