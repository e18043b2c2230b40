-- What an organization does with pulls of versions that contradict the terms of
-- what they were made from; NULL for the hub's way, which is to warn.
ALTER TABLE organizations ADD COLUMN lineage_gate TEXT COLLATE "C" CHECK (lineage_gate IN ('off', 'warn', 'block'));

-- Findings of lineage that somebody decided to let be, as signed statements.
CREATE TABLE waivers (
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL, -- of the version's manifest
    finding    TEXT COLLATE "C" NOT NULL,
    envelope   BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (repository, digest, finding)
);
