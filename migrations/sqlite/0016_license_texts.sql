-- Texts of licences of which administrators confirmed which licence they are, as
-- signed statements.
CREATE TABLE license_texts (
    digest     TEXT NOT NULL PRIMARY KEY, -- of the text
    ref        TEXT NOT NULL,
    text       TEXT NOT NULL,
    envelope   BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
