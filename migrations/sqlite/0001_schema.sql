-- Times are microseconds since 1970, UTC. Names and digests compare bytewise.
-- Tables are strict, so that a column holds only values of its type. JSON is TEXT.

CREATE TABLE repositories (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    visibility TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX repositories_name ON repositories (name);

-- unlinked_at is when a link last went away, NULL when links were left.
CREATE TABLE blobs (
    digest      TEXT NOT NULL PRIMARY KEY,
    object_key  TEXT NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    created_at  INTEGER NOT NULL,
    unlinked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX blobs_object_key ON blobs (object_key);
CREATE INDEX blobs_unlinked_at ON blobs (unlinked_at) WHERE unlinked_at IS NOT NULL;

-- unreferenced_at is when the last manifest of the repository that refers to the
-- blob went away, or when the blob was last pushed there when none does, NULL
-- while one does.
CREATE TABLE blob_links (
    repository_id   INTEGER NOT NULL REFERENCES repositories (id),
    digest          TEXT NOT NULL REFERENCES blobs (digest),
    created_at      INTEGER NOT NULL,
    unreferenced_at INTEGER,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_digest ON blob_links (digest);
CREATE INDEX blob_links_unreferenced_at ON blob_links (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

CREATE TABLE uploads (
    id            TEXT NOT NULL PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    object_key    TEXT NOT NULL,
    algorithm     TEXT NOT NULL,
    bytes_taken   INTEGER NOT NULL CHECK (bytes_taken >= 0),
    hash_state    BLOB,
    storage_state BLOB,
    started_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    claim         TEXT NOT NULL,
    claim_until   INTEGER
) STRICT;
CREATE UNIQUE INDEX uploads_object_key ON uploads (object_key);
CREATE INDEX uploads_updated_at ON uploads (updated_at);

-- Objects to delete; a row goes after its object.
CREATE TABLE tombstones (
    object_key   TEXT NOT NULL PRIMARY KEY,
    created_at   INTEGER NOT NULL,
    delete_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_delete_after ON tombstones (delete_after);

CREATE TABLE manifests (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    digest        TEXT NOT NULL,
    media_type    TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    body          BLOB NOT NULL,
    size          INTEGER NOT NULL,
    subject       TEXT,
    annotations   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT;
-- A subject need not be there, and its referrers outlive it.
CREATE INDEX manifests_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;

CREATE TABLE manifest_blobs (
    repository_id   INTEGER NOT NULL,
    manifest_digest TEXT NOT NULL,
    blob_digest     TEXT NOT NULL,
    PRIMARY KEY (repository_id, manifest_digest, blob_digest),
    FOREIGN KEY (repository_id, manifest_digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, blob_digest) REFERENCES blob_links (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_blob ON manifest_blobs (repository_id, blob_digest);

CREATE TABLE manifest_children (
    repository_id   INTEGER NOT NULL,
    manifest_digest TEXT NOT NULL,
    child_digest    TEXT NOT NULL,
    PRIMARY KEY (repository_id, manifest_digest, child_digest),
    FOREIGN KEY (repository_id, manifest_digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, child_digest) REFERENCES manifests (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_children_child ON manifest_children (repository_id, child_digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL,
    name          TEXT NOT NULL,
    digest        TEXT NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_digest ON tags (repository_id, digest);

-- One row for each manifest that is a version of a model.
CREATE TABLE versions (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL,
    digest        TEXT NOT NULL,
    kind          TEXT NOT NULL,
    size          INTEGER NOT NULL,
    files         TEXT NOT NULL,
    facts         TEXT,
    facts_error   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX versions_digest ON versions (repository_id, digest);
CREATE INDEX versions_created_at ON versions (repository_id, created_at, id);

CREATE TABLE verifications (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    check_set  INTEGER NOT NULL,
    state      TEXT NOT NULL,
    summary    TEXT NOT NULL,
    report     TEXT,
    referrer   TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX verifications_version ON verifications (version_id, id);
CREATE INDEX verifications_unfinished ON verifications (id) WHERE state IN ('pending', 'running');

-- One row for each repository that is a model: its newest version and what
-- lists select by.
CREATE TABLE models (
    repository_id INTEGER NOT NULL PRIMARY KEY REFERENCES repositories (id),
    version_id    INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    format        TEXT NOT NULL,
    architecture  TEXT NOT NULL,
    license       TEXT NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX models_version ON models (version_id);
CREATE INDEX models_updated_at ON models (updated_at, repository_id);

-- The words of a model, as package sqlstore cuts them.
CREATE VIRTUAL TABLE model_text USING fts5 (
    document,
    content = '',
    contentless_delete = 1,
    prefix = '2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
);

CREATE TABLE users (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_name ON users (name);

CREATE TABLE secrets (
    name       TEXT NOT NULL PRIMARY KEY,
    value      BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
