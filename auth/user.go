package auth

import (
	"context"
	"errors"
	"time"
)

// Errors of a UserStore.
var (
	// ErrUnknownUser says that there is no user of that name.
	ErrUnknownUser = errors.New("unknown user")
	// ErrUserExists says that the name is taken.
	ErrUserExists = errors.New("user exists already")
	// ErrLastAdmin says that the hub would have no administrator any more.
	ErrLastAdmin = errors.New("the hub keeps at least one administrator")
	// ErrNamespaceTaken says that the name is that of an organization.
	ErrNamespaceTaken = errors.New("the name is that of an organization")
)

// User is somebody who can sign in.
type User struct {
	ID           int64
	Name         string
	PasswordHash string // as HashPassword returns it, "" for robots
	Admin        bool
	Roles        Roles
	CreatedAt    time.Time
}

// Principal returns the principal that the user's own password stands for.
func (u User) Principal() Principal {
	return Principal{UserID: u.ID, Name: u.Name, Admin: u.Admin, Roles: u.Roles}
}

// UserStore keeps users and the hub's secrets.
type UserStore interface {
	// User returns the user of that name. Errors: ErrUnknownUser.
	User(ctx context.Context, name string) (User, error)
	// CreateUser inserts a user, who owns the name space of the name, and returns
	// it with its ID. Errors: ErrUserExists, ErrNamespaceTaken.
	CreateUser(ctx context.Context, u User) (User, error)
	// Users lists those who are no robots, by name.
	Users(ctx context.Context) ([]User, error)
	// SetPassword changes what is stored of the password; what was made with the
	// old one ends. Errors: ErrUnknownUser.
	SetPassword(ctx context.Context, name, hash string) error
	// SetAdmin makes a user an administrator, or not. Errors: ErrUnknownUser, ErrLastAdmin.
	SetAdmin(ctx context.Context, name string, admin bool) error
	// DeleteUser deletes a user with all that is theirs alone: the name space,
	// which must be empty, tokens, sign-ins, keys and roles, and who they were in
	// the log of acceptances. Errors: ErrUnknownUser, ErrLastAdmin, ErrLastOwner,
	// ErrNotEmpty.
	DeleteUser(ctx context.Context, name string) error
	// Secret returns the secret of that name, storing fresh first when there
	// is none yet; all callers on all nodes get the same one.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
}
