package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

const selectRobot = "SELECT id, name, robot_of, created_at FROM users WHERE robot_of = $1"

func scanRobot(r row) (x auth.Robot, err error) {
	var org string
	err = r.Scan(&x.ID, &x.User, &org, timeColumn{&x.CreatedAt})
	x.Name = strings.TrimPrefix(x.User, auth.RobotName(org, ""))
	return x, err
}

// Robots implements auth.RobotStore.
func (s *Store) Robots(ctx context.Context, org string) ([]auth.Robot, error) {
	robots, err := list(ctx, s.db.reader, scanRobot, selectRobot+" ORDER BY name", plain(org))
	if err != nil {
		return nil, fail("list the robots of "+org, err)
	}
	for i := range robots {
		if robots[i].Roles, err = s.roles(ctx, robots[i].ID); err != nil {
			return nil, err
		}
		if robots[i].Tokens, err = s.AccessTokens(ctx, robots[i].ID); err != nil {
			return nil, err
		}
	}
	return robots, nil
}

// Robot implements auth.RobotStore.
func (s *Store) Robot(ctx context.Context, org, name string) (auth.Robot, error) {
	x, err := scanRobot(s.db.reader.QueryRowContext(ctx, selectRobot+" AND name = $2", plain(org), plain(auth.RobotName(org, name))))
	if errors.Is(err, sql.ErrNoRows) {
		return x, fmt.Errorf("%.300q: %w", name, auth.ErrUnknownRobot)
	}
	if err != nil {
		return x, fail("read a robot of "+org, err)
	}
	x.Roles, err = s.roles(ctx, x.ID)
	return x, err
}

// CreateRobot implements auth.RobotStore.
func (s *Store) CreateRobot(ctx context.Context, org, name string) error {
	return s.write(ctx, "make a robot of "+org, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, org); err != nil {
			return err
		}
		n, err := change(ctx, tx, `INSERT INTO users (name, password_hash, admin, robot_of, created_at) VALUES ($1, '', false, $2, $3)
			ON CONFLICT (name) DO NOTHING`, auth.RobotName(org, name), org, micros(s.now()))
		if err == nil && n == 0 {
			err = auth.ErrRobotExists
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateRobot, Repository: org, Detail: map[string]string{"user": auth.RobotName(org, name)}})
	})
}

// DeleteRobot implements auth.RobotStore.
func (s *Store) DeleteRobot(ctx context.Context, org, name string) error {
	return s.write(ctx, "take a robot of "+org+" away", nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, org); err != nil {
			return err
		}
		user := plain(auth.RobotName(org, name))
		if _, err := tx.ExecContext(ctx, "DELETE FROM access_tokens WHERE user_id IN (SELECT id FROM users WHERE name = $1 AND robot_of = $2)", user, org); err != nil {
			return err
		}
		n, err := change(ctx, tx, "DELETE FROM users WHERE name = $1 AND robot_of = $2", user, org)
		if err == nil && n == 0 {
			err = fmt.Errorf("%.300q: %w", name, auth.ErrUnknownRobot)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DeleteRobot, Repository: org, Detail: map[string]string{"user": user}})
	})
}
