-- That named reviewers judge versions to meet the Open Source AI Definition, as
-- signed statements.
CREATE TABLE affirmations (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL, -- of the version's manifest
    reviewer   TEXT NOT NULL,
    envelope   BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest, reviewer)
) STRICT;
