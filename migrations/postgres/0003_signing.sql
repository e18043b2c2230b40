-- Public halves of all keys that ever signed reports. current is 1 for the one
-- in use and NULL for the others. seed is NULL for keys that are kept elsewhere
-- and for those that are not in use any more.
CREATE TABLE signing_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    public_key BYTEA NOT NULL,
    seed       BYTEA,
    current    BIGINT CHECK (current = 1),
    not_before BIGINT NOT NULL,
    not_after  BIGINT
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (current);

-- The key that signed the report.
ALTER TABLE verifications ADD COLUMN key_id TEXT COLLATE "C" NOT NULL DEFAULT '';
