-- What happened and is not part of the log yet. A transaction that changes
-- something adds its rows here, so that none waits for another; one sealer at a
-- time moves them to the log.
CREATE TABLE audit_pending (
    id    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL -- JSON
) STRICT;

-- The log of what happened. Each entry carries the hash of the one before it,
-- and no entry has two that follow it. What entry says counts; the other columns are for queries.
CREATE TABLE audit_log (
    seq        INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    repository TEXT NOT NULL,
    entry      TEXT NOT NULL -- JSON as it was hashed, with its hash
) STRICT;
CREATE INDEX audit_log_action ON audit_log (action, seq);
CREATE INDEX audit_log_actor ON audit_log (actor, seq);
CREATE INDEX audit_log_repository ON audit_log (repository, seq);

-- The end of the log, in one row. Who seals locks it.
CREATE TABLE audit_head (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL -- of the last entry, '' before the first
) STRICT;
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
