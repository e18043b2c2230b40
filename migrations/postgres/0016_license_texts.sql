-- Texts of licences of which administrators confirmed which licence they are, as
-- signed statements.
CREATE TABLE license_texts (
    digest     TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- of the text
    ref        TEXT COLLATE "C" NOT NULL,
    text       TEXT NOT NULL,
    envelope   BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
