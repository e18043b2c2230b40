-- Sketches of the weights of versions, by which relatives are found. bases are
-- the names that the version declares, as JSON.
CREATE TABLE fingerprints (
    version_id BIGINT NOT NULL PRIMARY KEY REFERENCES versions (id) ON DELETE CASCADE,
    signature  TEXT COLLATE "C" NOT NULL,
    variant    BIGINT NOT NULL,
    bits       BYTEA NOT NULL,
    bases      JSON NOT NULL
);
CREATE INDEX fingerprints_signature ON fingerprints (signature, version_id);
