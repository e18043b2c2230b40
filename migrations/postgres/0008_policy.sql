-- Policies in Cedar, of organizations and, under '', of the hub. The newest of a
-- scope is in force; those before it tell what was. A text of '' takes it away.
CREATE TABLE policies (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope  TEXT COLLATE "C" NOT NULL,
    text   TEXT COLLATE "C" NOT NULL,
    set_by TEXT COLLATE "C" NOT NULL,
    set_at BIGINT NOT NULL
);
CREATE INDEX policies_scope ON policies (scope, id);

-- Who pushed a version first, '' for those from before this was kept.
ALTER TABLE versions ADD COLUMN pushed_by TEXT COLLATE "C" NOT NULL DEFAULT '';
