-- What was found of the terms and the openness of a version, as everybody may
-- see it: a row for each result that differs from the one before, so that an
-- earlier level can be explained. The newest row holds, and checked_at is when it
-- was last computed. rule_set names the rules and the catalogue, input what they
-- were given.
CREATE TABLE assessments (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id BIGINT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    rule_set   TEXT COLLATE "C" NOT NULL,
    input      TEXT COLLATE "C" NOT NULL,
    expression TEXT COLLATE "C" NOT NULL,
    terms      TEXT COLLATE "C" NOT NULL,
    claimed    BIGINT NOT NULL,
    verified   BIGINT NOT NULL,
    errors     BIGINT NOT NULL,
    warnings   BIGINT NOT NULL,
    unknown    BIGINT NOT NULL CHECK (unknown IN (0, 1)),
    findings   JSON NOT NULL,
    created_at BIGINT NOT NULL,
    checked_at BIGINT NOT NULL
);
CREATE INDEX assessments_version ON assessments (version_id, id);

-- On which models the newest assessment of a version rests: the SHA-256 of their
-- names, also of those that are not here.
CREATE TABLE assessment_bases (
    base       TEXT COLLATE "C" NOT NULL,
    version_id BIGINT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    PRIMARY KEY (base, version_id)
);
CREATE INDEX assessment_bases_version ON assessment_bases (version_id);

-- Versions to assess. The stamp rises each time that something changed, so that
-- what changed during an assessment is not forgotten. A row may outlive its version.
CREATE TABLE assessment_due (
    version_id BIGINT NOT NULL PRIMARY KEY,
    stamp      BIGINT NOT NULL
);
