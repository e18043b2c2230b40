-- Sketches of the weights of versions, by which relatives are found. bases are
-- the names that the version declares, as JSON.
CREATE TABLE fingerprints (
    version_id INTEGER NOT NULL PRIMARY KEY REFERENCES versions (id) ON DELETE CASCADE,
    signature  TEXT NOT NULL,
    variant    INTEGER NOT NULL,
    bits       BLOB NOT NULL,
    bases      TEXT NOT NULL
) STRICT;
CREATE INDEX fingerprints_signature ON fingerprints (signature, version_id);
