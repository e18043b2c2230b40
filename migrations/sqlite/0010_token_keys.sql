-- Keys that sign the tokens of the token endpoint. A key is published from
-- created_at on, signs from signs_from on until a later one does, and verifies
-- until ends_at, which is NULL for the newest. Its id is derived from the seed.
CREATE TABLE token_keys (
    serial     INTEGER NOT NULL PRIMARY KEY,
    seed       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    ends_at    INTEGER
) STRICT;

-- The one seed that there was before goes on, as if it were new.
INSERT INTO token_keys (serial, seed, created_at, signs_from)
SELECT 1, value, CAST(strftime('%s', 'now') AS INTEGER) * 1000000, CAST(strftime('%s', 'now') AS INTEGER) * 1000000
FROM secrets WHERE name = 'token-seed';
DELETE FROM secrets WHERE name = 'token-seed';
