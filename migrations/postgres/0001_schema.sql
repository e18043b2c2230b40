-- Times are microseconds since 1970, UTC. Names and digests compare bytewise.
-- JSON columns have type JSON, not JSONB, which refuses \u0000 in foreign text.

CREATE TABLE repositories (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    visibility TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX repositories_name ON repositories (name);

-- unlinked_at is when a link last went away, NULL when links were left.
CREATE TABLE blobs (
    digest      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    object_key  TEXT COLLATE "C" NOT NULL,
    size        BIGINT NOT NULL CHECK (size >= 0),
    created_at  BIGINT NOT NULL,
    unlinked_at BIGINT
);
CREATE UNIQUE INDEX blobs_object_key ON blobs (object_key);
CREATE INDEX blobs_unlinked_at ON blobs (unlinked_at) WHERE unlinked_at IS NOT NULL;

-- unreferenced_at is when the last manifest of the repository that refers to the
-- blob went away, or when the blob was last pushed there when none does, NULL
-- while one does.
CREATE TABLE blob_links (
    repository_id   BIGINT NOT NULL REFERENCES repositories (id),
    digest          TEXT COLLATE "C" NOT NULL REFERENCES blobs (digest),
    created_at      BIGINT NOT NULL,
    unreferenced_at BIGINT,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX blob_links_digest ON blob_links (digest);
CREATE INDEX blob_links_unreferenced_at ON blob_links (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

CREATE TABLE uploads (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    object_key    TEXT COLLATE "C" NOT NULL,
    algorithm     TEXT NOT NULL,
    bytes_taken   BIGINT NOT NULL CHECK (bytes_taken >= 0),
    hash_state    BYTEA,
    storage_state BYTEA,
    started_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    claim         TEXT NOT NULL,
    claim_until   BIGINT
);
CREATE UNIQUE INDEX uploads_object_key ON uploads (object_key);
CREATE INDEX uploads_updated_at ON uploads (updated_at);

-- Objects to delete; a row goes after its object.
CREATE TABLE tombstones (
    object_key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at   BIGINT NOT NULL,
    delete_after BIGINT NOT NULL
);
CREATE INDEX tombstones_delete_after ON tombstones (delete_after);

CREATE TABLE manifests (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT COLLATE "C" NOT NULL,
    media_type    TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    body          BYTEA NOT NULL,
    size          BIGINT NOT NULL,
    subject       TEXT COLLATE "C",
    annotations   JSON NOT NULL,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
-- A subject need not be there, and its referrers outlive it.
CREATE INDEX manifests_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;

CREATE TABLE manifest_blobs (
    repository_id   BIGINT NOT NULL,
    manifest_digest TEXT COLLATE "C" NOT NULL,
    blob_digest     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, manifest_digest, blob_digest),
    FOREIGN KEY (repository_id, manifest_digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, blob_digest) REFERENCES blob_links (repository_id, digest)
);
CREATE INDEX manifest_blobs_blob ON manifest_blobs (repository_id, blob_digest);

CREATE TABLE manifest_children (
    repository_id   BIGINT NOT NULL,
    manifest_digest TEXT COLLATE "C" NOT NULL,
    child_digest    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, manifest_digest, child_digest),
    FOREIGN KEY (repository_id, manifest_digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, child_digest) REFERENCES manifests (repository_id, digest)
);
CREATE INDEX manifest_children_child ON manifest_children (repository_id, child_digest);

CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
);
CREATE INDEX tags_digest ON tags (repository_id, digest);

-- One row for each manifest that is a version of a model.
CREATE TABLE versions (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    kind          TEXT NOT NULL,
    size          BIGINT NOT NULL,
    files         JSON NOT NULL,
    facts         JSON,
    facts_error   TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE UNIQUE INDEX versions_digest ON versions (repository_id, digest);
CREATE INDEX versions_created_at ON versions (repository_id, created_at, id);

CREATE TABLE verifications (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id BIGINT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    check_set  BIGINT NOT NULL,
    state      TEXT NOT NULL,
    summary    TEXT NOT NULL,
    report     JSON,
    referrer   TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX verifications_version ON verifications (version_id, id);
CREATE INDEX verifications_unfinished ON verifications (id) WHERE state IN ('pending', 'running');

-- One row for each repository that is a model: its newest version and what
-- lists select by.
CREATE TABLE models (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories (id),
    version_id    BIGINT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    format        TEXT NOT NULL,
    architecture  TEXT NOT NULL,
    license       TEXT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX models_version ON models (version_id);
CREATE INDEX models_updated_at ON models (updated_at, repository_id);

-- The words of a model, as package sqlstore cuts them.
CREATE TABLE model_text (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES models (repository_id) ON DELETE CASCADE,
    document      TSVECTOR NOT NULL
);
CREATE INDEX model_text_document ON model_text USING GIN (document);

CREATE TABLE users (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    password_hash TEXT NOT NULL,
    admin         BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_name ON users (name);

CREATE TABLE secrets (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value      BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
