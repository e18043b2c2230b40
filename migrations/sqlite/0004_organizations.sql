-- Organizations that have settings of their own. verification_gate is off,
-- warn or block, NULL for the hub's.
CREATE TABLE organizations (
    name              TEXT NOT NULL PRIMARY KEY,
    verification_gate TEXT CHECK (verification_gate IN ('off', 'warn', 'block')),
    updated_at        INTEGER NOT NULL
) STRICT;
