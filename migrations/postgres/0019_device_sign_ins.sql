-- Programs that asked to be signed in by a browser, until they are answered.
CREATE TABLE device_sign_ins (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       BYTEA NOT NULL, -- SHA-256 of what the program keeps
    user_code  TEXT NOT NULL,
    client_id  TEXT NOT NULL, -- the program, as it called itself
    address    TEXT NOT NULL,
    state      BIGINT NOT NULL, -- 0 pending, 1 allowed, 2 denied
    user_id    BIGINT REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    polled_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX device_sign_ins_hash ON device_sign_ins (hash);
CREATE UNIQUE INDEX device_sign_ins_code ON device_sign_ins (user_code);
CREATE INDEX device_sign_ins_created ON device_sign_ins (created_at);
