-- That named reviewers judge versions to meet the Open Source AI Definition, as
-- signed statements.
CREATE TABLE affirmations (
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL, -- of the version's manifest
    reviewer   TEXT COLLATE "C" NOT NULL,
    envelope   BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (repository, digest, reviewer)
);
