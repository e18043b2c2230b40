-- Terms that have to be accepted before a pull: gates of organizations and of
-- models, by scope ("org" or "org/name").
CREATE TABLE consent_gates (
    scope      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    gate       JSON NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The log of acceptances. Each entry carries the hash of the one before it, and
-- no entry has two that follow it. salt and party say who it was; they are NULL once erased.
CREATE TABLE acceptances (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository  TEXT COLLATE "C" NOT NULL, -- its name, which outlives it
    digest      TEXT COLLATE "C" NOT NULL,
    user_id     BIGINT NOT NULL,
    terms       JSON NOT NULL,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('accepted', 'pending', 'denied')),
    accepted_at BIGINT NOT NULL,
    hash        TEXT COLLATE "C" NOT NULL,
    previous    TEXT COLLATE "C" NOT NULL, -- '' for the first
    envelope    BYTEA NOT NULL,
    salt        BYTEA,
    party       BYTEA
);
CREATE UNIQUE INDEX acceptances_hash ON acceptances (hash);
CREATE UNIQUE INDEX acceptances_previous ON acceptances (previous);
CREATE INDEX acceptances_user ON acceptances (user_id, repository, id);
