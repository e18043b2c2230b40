-- Keys that sign the tokens of the token endpoint. A key is published from
-- created_at on, signs from signs_from on until a later one does, and verifies
-- until ends_at, which is NULL for the newest. Its id is derived from the seed.
CREATE TABLE token_keys (
    serial     BIGINT NOT NULL PRIMARY KEY,
    seed       BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    ends_at    BIGINT
);

-- The one seed that there was before goes on, as if it were new.
INSERT INTO token_keys (serial, seed, created_at, signs_from)
SELECT 1, value, CAST(extract(epoch FROM now()) AS BIGINT) * 1000000, CAST(extract(epoch FROM now()) AS BIGINT) * 1000000
FROM secrets WHERE name = 'token-seed';
DELETE FROM secrets WHERE name = 'token-seed';
