-- What an organization does with pulls of versions that contradict the terms of
-- what they were made from; NULL for the hub's way, which is to warn.
ALTER TABLE organizations ADD COLUMN lineage_gate TEXT CHECK (lineage_gate IN ('off', 'warn', 'block'));

-- Findings of lineage that somebody decided to let be, as signed statements.
CREATE TABLE waivers (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL, -- of the version's manifest
    finding    TEXT NOT NULL,
    envelope   BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest, finding)
) STRICT;
