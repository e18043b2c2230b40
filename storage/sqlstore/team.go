package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// Teams implements auth.TeamStore.
func (s *Store) Teams(ctx context.Context, org string) ([]auth.Team, error) {
	var teams []auth.Team
	index := map[int64]int{}
	scanTeam := func(r row) (t auth.Team, err error) {
		var id int64
		err = r.Scan(&id, &t.Name, timeColumn{&t.CreatedAt})
		index[id] = len(index)
		t.Members, t.Roles = []string{}, []auth.TeamRole{}
		return t, err
	}
	teams, err := list(ctx, s.db.reader, scanTeam, "SELECT id, name, created_at FROM teams WHERE organization = $1 ORDER BY name", plain(org))
	if err != nil || len(teams) == 0 {
		return teams, fail("list the teams of "+org, err)
	}
	type pair struct {
		team int64
		text string
		role auth.Role
	}
	scan := func(r row) (p pair, err error) {
		err = r.Scan(&p.team, &p.text, &p.role)
		return p, err
	}
	members, err := list(ctx, s.db.reader, scan, `SELECT m.team_id, u.name, 0 FROM teams t
		JOIN team_members m ON m.team_id = t.id JOIN users u ON u.id = m.user_id WHERE t.organization = $1 ORDER BY u.name`, plain(org))
	if err != nil {
		return nil, fail("list the members of teams of "+org, err)
	}
	roles, err := list(ctx, s.db.reader, scan, `SELECT r.team_id, r.scope, r.role FROM teams t
		JOIN team_roles r ON r.team_id = t.id WHERE t.organization = $1 ORDER BY r.scope`, plain(org))
	if err != nil {
		return nil, fail("list the roles of teams of "+org, err)
	}
	for _, p := range members {
		if i, ok := index[p.team]; ok {
			teams[i].Members = append(teams[i].Members, p.text)
		}
	}
	for _, p := range roles {
		if i, ok := index[p.team]; ok {
			teams[i].Roles = append(teams[i].Roles, auth.TeamRole{Scope: p.text, Role: p.role})
		}
	}
	return teams, nil
}

// CreateTeam implements auth.TeamStore.
func (s *Store) CreateTeam(ctx context.Context, org, team string) error {
	return s.write(ctx, "make a team of "+org, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, org); err != nil {
			return err
		}
		n, err := change(ctx, tx, "INSERT INTO teams (organization, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (organization, name) DO NOTHING", org, team, micros(s.now()))
		if err == nil && n == 0 {
			err = auth.ErrTeamExists
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateTeam, Repository: org, Detail: map[string]string{"team": team}})
	})
}

// DeleteTeam implements auth.TeamStore.
func (s *Store) DeleteTeam(ctx context.Context, org, team string) error {
	return s.changeTeam(ctx, org, team, func(tx *sql.Tx, id int64) (audit.Event, error) {
		_, err := tx.ExecContext(ctx, "DELETE FROM teams WHERE id = $1", id)
		return audit.Event{Action: audit.DeleteTeam, Detail: map[string]string{}}, err
	})
}

// SetTeamMember implements auth.TeamStore.
func (s *Store) SetTeamMember(ctx context.Context, org, team, user string, in bool) error {
	return s.changeTeam(ctx, org, team, func(tx *sql.Tx, id int64) (audit.Event, error) {
		e := audit.Event{Action: audit.JoinTeam, Detail: map[string]string{"user": user}}
		userID, err := s.lockUser(ctx, tx, user, org)
		switch {
		case err != nil:
		case in:
			_, err = tx.ExecContext(ctx, "INSERT INTO team_members (team_id, user_id) VALUES ($1, $2) ON CONFLICT (user_id, team_id) DO NOTHING", id, userID)
		default:
			e.Action = audit.LeaveTeam
			_, err = tx.ExecContext(ctx, "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2", id, userID)
		}
		return e, err
	})
}

// SetTeamRole implements auth.TeamStore.
func (s *Store) SetTeamRole(ctx context.Context, org, team, scope string, role auth.Role) error {
	if auth.Organization(scope) != org {
		return auth.ErrForeignScope
	}
	return s.changeTeam(ctx, org, team, func(tx *sql.Tx, id int64) (audit.Event, error) {
		e := audit.Event{Action: audit.SetRole, Detail: map[string]string{"scope": scope, "role": role.String()}}
		if role == auth.NoRole {
			e.Action = audit.DropRole
			delete(e.Detail, "role")
			_, err := tx.ExecContext(ctx, "DELETE FROM team_roles WHERE team_id = $1 AND scope = $2", id, plain(scope))
			return e, err
		}
		if err := s.lockScope(ctx, tx, scope); err != nil {
			return e, err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO team_roles (team_id, scope, role) VALUES ($1, $2, $3)
			ON CONFLICT (team_id, scope) DO UPDATE SET role = excluded.role`, id, scope, int(role))
		return e, err
	})
}

// changeTeam runs a change of a team with its id, and records the event that it returns.
func (s *Store) changeTeam(ctx context.Context, org, team string, fn func(tx *sql.Tx, id int64) (audit.Event, error)) error {
	return s.write(ctx, "change a team of "+org, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, org); err != nil {
			return err
		}
		var id int64
		err := tx.QueryRowContext(ctx, "SELECT id FROM teams WHERE organization = $1 AND name = $2", org, plain(team)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%.300q: %w", team, auth.ErrUnknownTeam)
		}
		if err != nil {
			return err
		}
		e, err := fn(tx, id)
		if err != nil {
			return err
		}
		e.Repository, e.Detail["team"] = org, team
		return s.record(ctx, tx, e)
	})
}
