-- Public halves of all keys that ever signed reports. current is 1 for the one
-- in use and NULL for the others. seed is NULL for keys that are kept elsewhere
-- and for those that are not in use any more.
CREATE TABLE signing_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    public_key BLOB NOT NULL,
    seed       BLOB,
    current    INTEGER CHECK (current = 1),
    not_before INTEGER NOT NULL,
    not_after  INTEGER
) STRICT;
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (current);

-- The key that signed the report.
ALTER TABLE verifications ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
