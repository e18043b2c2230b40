-- Name spaces of repositories. Those without created_at only have settings; those
-- with user_id are a user's own.
ALTER TABLE organizations ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN created_at INTEGER;
ALTER TABLE organizations ADD COLUMN user_id INTEGER REFERENCES users (id) ON DELETE SET NULL;
CREATE UNIQUE INDEX organizations_user ON organizations (user_id);

-- The first part of the name.
ALTER TABLE repositories ADD COLUMN organization TEXT NOT NULL DEFAULT '';
UPDATE repositories SET organization = substr(name, 1, instr(name || '/', '/') - 1);

-- Robots are users without a password that belong to an organization.
ALTER TABLE users ADD COLUMN robot_of TEXT REFERENCES organizations (name);
CREATE INDEX users_robot_of ON users (robot_of) WHERE robot_of IS NOT NULL;

-- What users may do, by organization ("org") or repository ("org/name"). A role is
-- 1 reader, 2 writer, 3 maintainer or 4 owner, and includes those before it.
CREATE TABLE roles (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    scope   TEXT NOT NULL,
    role    INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (user_id, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX roles_scope ON roles (scope);

-- Members of an organization who have roles together, in it or in its repositories.
CREATE TABLE teams (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    organization TEXT NOT NULL REFERENCES organizations (name),
    name         TEXT NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX teams_name ON teams (organization, name);
CREATE TABLE team_members (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, team_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX team_members_team ON team_members (team_id);
CREATE TABLE team_roles (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    scope   TEXT NOT NULL,
    role    INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (team_id, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX team_roles_scope ON team_roles (scope);

-- What users may do, by whatever way.
CREATE VIEW granted_roles AS
    SELECT user_id, scope, role FROM roles
    UNION ALL
    SELECT m.user_id, r.scope, r.role FROM team_members m JOIN team_roles r ON r.team_id = m.team_id;

-- Who was there already owns the name space of their name, unless somebody else
-- keeps there what they may not see.
INSERT INTO organizations (name, created_at, user_id, updated_at)
    SELECT name, created_at, id, created_at FROM users WHERE true
    ON CONFLICT (name) DO UPDATE SET created_at = excluded.created_at, user_id = excluded.user_id;
INSERT INTO roles (user_id, scope, role)
    SELECT id, name, 4 FROM users u WHERE u.admin
        OR NOT EXISTS (SELECT 1 FROM repositories p WHERE p.organization = u.name AND p.visibility <> 'public');
INSERT INTO organizations (name, created_at, updated_at)
    SELECT organization, MIN(created_at), MIN(created_at) FROM repositories WHERE true GROUP BY organization
    ON CONFLICT (name) DO UPDATE SET created_at = COALESCE(organizations.created_at, excluded.created_at);
