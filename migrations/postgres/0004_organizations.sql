-- Organizations that have settings of their own. verification_gate is off,
-- warn or block, NULL for the hub's.
CREATE TABLE organizations (
    name              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    verification_gate TEXT COLLATE "C" CHECK (verification_gate IN ('off', 'warn', 'block')),
    updated_at        BIGINT NOT NULL
);
