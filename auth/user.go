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
	// ErrNamespaceTaken says that the name is that of an organization.
	ErrNamespaceTaken = errors.New("the name is that of an organization")
)

// User is somebody who can sign in.
type User struct {
	ID           int64
	Name         string
	PasswordHash string // as HashPassword returns it
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
	// CreateUser inserts a user and returns it with its ID. Errors: ErrUserExists.
	CreateUser(ctx context.Context, u User) (User, error)
	// Secret returns the secret of that name, storing fresh first when there
	// is none yet; all callers on all nodes get the same one.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
}
