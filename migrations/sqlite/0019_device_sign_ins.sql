-- Programs that asked to be signed in by a browser, until they are answered.
CREATE TABLE device_sign_ins (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       BLOB NOT NULL, -- SHA-256 of what the program keeps
    user_code  TEXT NOT NULL,
    client_id  TEXT NOT NULL, -- the program, as it called itself
    address    TEXT NOT NULL,
    state      INTEGER NOT NULL, -- 0 pending, 1 allowed, 2 denied
    user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    polled_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_sign_ins_hash ON device_sign_ins (hash);
CREATE UNIQUE INDEX device_sign_ins_code ON device_sign_ins (user_code);
CREATE INDEX device_sign_ins_created ON device_sign_ins (created_at);
