-- What was found of the terms and the openness of a version, as everybody may
-- see it: a row for each result that differs from the one before, so that an
-- earlier level can be explained. The newest row holds, and checked_at is when it
-- was last computed. rule_set names the rules and the catalogue, input what they
-- were given.
CREATE TABLE assessments (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    rule_set   TEXT NOT NULL,
    input      TEXT NOT NULL,
    expression TEXT NOT NULL,
    terms      TEXT NOT NULL,
    claimed    INTEGER NOT NULL,
    verified   INTEGER NOT NULL,
    errors     INTEGER NOT NULL,
    warnings   INTEGER NOT NULL,
    unknown    INTEGER NOT NULL CHECK (unknown IN (0, 1)),
    findings   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    checked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX assessments_version ON assessments (version_id, id);

-- On which models the newest assessment of a version rests: the SHA-256 of their
-- names, also of those that are not here.
CREATE TABLE assessment_bases (
    base       TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    PRIMARY KEY (base, version_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX assessment_bases_version ON assessment_bases (version_id);

-- Versions to assess. The stamp rises each time that something changed, so that
-- what changed during an assessment is not forgotten. A row may outlive its version.
CREATE TABLE assessment_due (
    version_id INTEGER NOT NULL PRIMARY KEY,
    stamp      INTEGER NOT NULL
) STRICT;
