package hub

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Users are those who can sign in.
type Users interface {
	auth.AccessTokenStore
	// DeleteRefreshTokens ends the sign-ins of a user that programs keep.
	DeleteRefreshTokens(ctx context.Context, userID int64) error
	// User returns the user of that name. Errors: auth.ErrUnknownUser.
	User(ctx context.Context, name string) (auth.User, error)
	// CreateUser makes one. Errors: auth.ErrUserExists, auth.ErrNamespaceTaken.
	CreateUser(ctx context.Context, u auth.User) (auth.User, error)
}

// minPassword is how long a password has to be, in bytes.
const minPassword = 12

// createUser makes a user, who owns the name space of their name.
func (h *Handler) createUser(c echo.Context) error {
	p, ctx := h.access.Principal(c), c.Request().Context()
	if err := auth.Administer(p); err != nil {
		return err
	}
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if _, err := registry.ParseName(body.Name); err != nil || strings.Contains(body.Name, "/") || len(body.Name) > 64 {
		return registry.Errorf(server.CodeRequestInvalid, "a user's name is written like that of an organization, and is at most 64 characters long")
	}
	if len(body.Password) < minPassword || len(body.Password) > 1000 {
		return registry.Errorf(server.CodeRequestInvalid, "a password has at least %d characters", minPassword)
	}
	hash, err := auth.HashPassword(ctx, body.Password)
	if err != nil {
		return err
	}
	u, err := h.users.CreateUser(ctx, auth.User{Name: body.Name, PasswordHash: hash})
	if errors.Is(err, auth.ErrUserExists) {
		return registry.Errorf(server.CodeConflict, "there is a user of that name")
	}
	if errors.Is(err, auth.ErrNamespaceTaken) {
		return registry.Errorf(server.CodeConflict, "there is an organization of that name")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]string{"name": u.Name})
}
