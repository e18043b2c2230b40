-- What happened and is not part of the log yet. A transaction that changes
-- something adds its rows here, so that none waits for another; one sealer at a
-- time moves them to the log.
CREATE TABLE audit_pending (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event TEXT COLLATE "C" NOT NULL -- JSON
);

-- The log of what happened. Each entry carries the hash of the one before it,
-- and no entry has two that follow it. What entry says counts; the other columns are for queries.
CREATE TABLE audit_log (
    seq        BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    entry      TEXT COLLATE "C" NOT NULL -- JSON as it was hashed, with its hash
);
CREATE INDEX audit_log_action ON audit_log (action, seq);
CREATE INDEX audit_log_actor ON audit_log (actor, seq);
CREATE INDEX audit_log_repository ON audit_log (repository, seq);

-- The end of the log, in one row. Who seals locks it.
CREATE TABLE audit_head (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL -- of the last entry, '' before the first
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
