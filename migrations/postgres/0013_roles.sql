-- What users may do, by organization ("org") or repository ("org/name"). A role is
-- 1 reader, 2 writer, 3 maintainer or 4 owner, and includes those before it.
CREATE TABLE roles (
    user_id BIGINT NOT NULL REFERENCES users (id),
    scope   TEXT COLLATE "C" NOT NULL,
    role    BIGINT NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (user_id, scope)
);
CREATE INDEX roles_scope ON roles (scope);

-- The first part of the name.
ALTER TABLE repositories ADD COLUMN organization TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE repositories SET organization = split_part(name, '/', 1);
