-- Browsers that are signed in. credential is the SHA-256 of the user's password
-- hash when the session began: another password ends it.
CREATE TABLE web_sessions (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL, -- SHA-256
    credential BLOB NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL, -- the browser, as it called itself
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX web_sessions_hash ON web_sessions (hash);
CREATE INDEX web_sessions_user ON web_sessions (user_id, seen_at);
