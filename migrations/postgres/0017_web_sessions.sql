-- Browsers that are signed in. credential is the SHA-256 of the user's password
-- hash when the session began: another password ends it.
CREATE TABLE web_sessions (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BYTEA NOT NULL, -- SHA-256
    credential BYTEA NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL, -- the browser, as it called itself
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX web_sessions_hash ON web_sessions (hash);
CREATE INDEX web_sessions_user ON web_sessions (user_id, seen_at);
