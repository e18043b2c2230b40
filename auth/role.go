package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Role is what somebody is in an organization or in one of its repositories.
// Each role may do all that those before it may.
type Role int

// The roles. NoRole may do what everybody may.
const (
	NoRole     Role = iota
	Reader          // pulls what is private
	Writer          // pushes
	Maintainer      // deletes, and sets visibility, gates, terms and policies
	Owner           // gives and takes roles
)

var roleNames = [...]string{"", "reader", "writer", "maintainer", "owner"}

// ErrRole says that a text names no role.
var ErrRole = errors.New("a role is reader, writer, maintainer or owner")

// ParseRole reads the name of a role. Errors: ErrRole.
func ParseRole(s string) (Role, error) {
	for r, name := range roleNames {
		if r > 0 && name == s {
			return Role(r), nil
		}
	}
	return NoRole, ErrRole
}

// String returns the name, "" for NoRole.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("Role(%d)", int(r))
	}
	return roleNames[r]
}

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors: ErrRole.
func (r *Role) UnmarshalText(p []byte) (err error) {
	*r = NoRole
	if len(p) > 0 {
		*r, err = ParseRole(string(p))
	}
	return err
}

// Roles are somebody's roles by organization ("org") or repository ("org/name").
type Roles map[string]Role

// On returns the role on an organization or a repository: the greater one of
// what was given there and in its organization.
func (r Roles) On(scope string) Role { return max(r[scope], r[Organization(scope)]) }

// Organization returns the organization that a repository belongs to: the
// first part of its name.
func Organization(repository string) string {
	org, _, _ := strings.Cut(repository, "/")
	return org
}

// Member is a user with the role that they were given on a scope.
type Member struct {
	User string `json:"user"`
	Role Role   `json:"role"`
}

// Errors of a RoleStore.
var (
	// ErrUnknownScope says that there is no such organization or repository.
	ErrUnknownScope = errors.New("there is no such organization or model")
	// ErrLastOwner says that an organization would have no owner any more.
	ErrLastOwner = errors.New("an organization keeps at least one owner")
	// ErrForeignRobot says that a robot belongs to another organization.
	ErrForeignRobot = errors.New("a robot has roles in its own organization only")
)

// RoleStore keeps roles. A scope is an organization or a repository.
type RoleStore interface {
	// Members lists those who were given a role on a scope itself, by name.
	Members(ctx context.Context, scope string) ([]Member, error)
	// SetRole gives a user a role on a scope in the place of an earlier one, or
	// takes it away when role is NoRole. Errors: ErrUnknownUser,
	// ErrUnknownScope, ErrLastOwner, ErrForeignRobot.
	SetRole(ctx context.Context, scope, user string, role Role) error
}
