-- Refresh tokens, which sign-ins of programs are kept as. credential is the
-- SHA-256 of the user's password hash when it was made: another password ends it.
CREATE TABLE refresh_tokens (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL, -- SHA-256
    credential BLOB NOT NULL,
    client_id  TEXT NOT NULL, -- the program, as it called itself
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX refresh_tokens_hash ON refresh_tokens (hash);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, used_at);

-- repositories are patterns: * for all, org/*, org/name; separated by commas.
-- identity says whose OpenID Connect token was exchanged for the token, NULL
-- for one that a user made.
ALTER TABLE access_tokens ADD COLUMN repositories TEXT NOT NULL DEFAULT '*';
ALTER TABLE access_tokens ADD COLUMN identity TEXT;
CREATE INDEX access_tokens_exchanged ON access_tokens (expires_at) WHERE identity IS NOT NULL;

-- OpenID Connect tokens that were exchanged, until they expire: each is good once.
CREATE TABLE exchanged_tokens (
    hash       BLOB NOT NULL PRIMARY KEY, -- SHA-256
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX exchanged_tokens_expires ON exchanged_tokens (expires_at);

-- Ed25519 keys of SSH whose signature stands for a user.
CREATE TABLE ssh_keys (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    public_key   BLOB NOT NULL,
    name         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE UNIQUE INDEX ssh_keys_public_key ON ssh_keys (public_key);
CREATE INDEX ssh_keys_user ON ssh_keys (user_id, id);
