-- Terms that have to be accepted before a pull: gates of organizations and of
-- models, by scope ("org" or "org/name").
CREATE TABLE consent_gates (
    scope      TEXT NOT NULL PRIMARY KEY,
    gate       TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL
) STRICT;

-- The log of acceptances. Each entry carries the hash of the one before it, and
-- no entry has two that follow it. salt and party say who it was; they are NULL once erased.
CREATE TABLE acceptances (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository  TEXT NOT NULL, -- its name, which outlives it
    digest      TEXT NOT NULL,
    user_id     INTEGER NOT NULL,
    terms       TEXT NOT NULL, -- JSON
    state       TEXT NOT NULL CHECK (state IN ('accepted', 'pending', 'denied')),
    accepted_at INTEGER NOT NULL,
    hash        TEXT NOT NULL,
    previous    TEXT NOT NULL, -- '' for the first
    envelope    BLOB NOT NULL,
    salt        BLOB,
    party       BLOB
) STRICT;
CREATE UNIQUE INDEX acceptances_hash ON acceptances (hash);
CREATE UNIQUE INDEX acceptances_previous ON acceptances (previous);
CREATE INDEX acceptances_user ON acceptances (user_id, repository, id);
