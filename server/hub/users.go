package hub

import (
	"context"
	"errors"
	"net/http"
	"time"

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
	// Users lists those who are no robots, by name.
	Users(ctx context.Context) ([]auth.User, error)
	// SetPassword changes a password. Errors: auth.ErrUnknownUser.
	SetPassword(ctx context.Context, name, hash string) error
	// SetAdmin makes an administrator, or unmakes one. Errors: auth.ErrUnknownUser, auth.ErrLastAdmin.
	SetAdmin(ctx context.Context, name string, admin bool) error
	// DeleteUser deletes one. Errors: auth.ErrUnknownUser, auth.ErrLastAdmin, auth.ErrLastOwner, auth.ErrNotEmpty.
	DeleteUser(ctx context.Context, name string) error
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
	if err := namespace(body.Name); err != nil {
		return err
	}
	hash, err := hashPassword(ctx, body.Password)
	if err != nil {
		return err
	}
	u, err := h.users.CreateUser(ctx, auth.User{Name: body.Name, PasswordHash: hash})
	if errors.Is(err, auth.ErrUserExists) {
		return registry.Errorf(server.CodeConflict, "there is a user of that name")
	}
	if err != nil {
		return directoryError(err)
	}
	return c.JSON(http.StatusCreated, map[string]string{"name": u.Name})
}

// hashPassword is auth.HashPassword for a password of a user's choice.
// Errors: server.CodeRequestInvalid.
func hashPassword(ctx context.Context, password string) (string, error) {
	if len(password) < minPassword || len(password) > 1000 {
		return "", registry.Errorf(server.CodeRequestInvalid, "a password has at least %d characters", minPassword)
	}
	return auth.HashPassword(ctx, password)
}

// userShown is a user as administrators see them.
type userShown struct {
	Name      string    `json:"name"`
	Admin     bool      `json:"admin"`
	CreatedAt time.Time `json:"createdAt"`
}

func (h *Handler) listUsers(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	found, err := h.users.Users(c.Request().Context())
	if err != nil {
		return err
	}
	list := make([]userShown, len(found))
	for i, u := range found {
		list[i] = userShown{u.Name, u.Admin, u.CreatedAt}
	}
	return answer(c, map[string][]userShown{"users": list})
}

// userPatch is the body of PATCH /api/v1/users/{user}; what is nil stays.
type userPatch struct {
	Admin    *bool   `json:"admin"`
	Password *string `json:"password"`
}

// changeUser sets a password, or makes and unmakes administrators.
func (h *Handler) changeUser(c echo.Context) error {
	ctx, name := c.Request().Context(), c.Param("user")
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	var body userPatch
	if err := decode(c, &body); err != nil {
		return err
	}
	if body.Password != nil {
		hash, err := hashPassword(ctx, *body.Password)
		if err != nil {
			return err
		}
		if err := h.users.SetPassword(ctx, name, hash); err != nil {
			return directoryError(err)
		}
	}
	if body.Admin != nil {
		if err := h.users.SetAdmin(ctx, name, *body.Admin); err != nil {
			return directoryError(err)
		}
	}
	u, err := h.users.User(ctx, name)
	if err != nil {
		return directoryError(err)
	}
	return answer(c, userShown{u.Name, u.Admin, u.CreatedAt})
}

// deleteUser deletes a user with what is theirs alone.
func (h *Handler) deleteUser(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	err := h.users.DeleteUser(c.Request().Context(), c.Param("user"))
	switch {
	case errors.Is(err, auth.ErrNotEmpty):
		return registry.Wrap(err, server.CodeConflict, "there are models in the user's name space: delete them first")
	case errors.Is(err, auth.ErrLastOwner):
		return registry.Wrap(err, server.CodeConflict, err.Error()) // with the name of the organization
	case err != nil:
		return directoryError(err)
	}
	return c.NoContent(http.StatusNoContent)
}

// named returns the user that the path names, for administrators.
func (h *Handler) named(c echo.Context) (auth.User, error) {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return auth.User{}, err
	}
	u, err := h.users.User(c.Request().Context(), c.Param("user"))
	return u, directoryError(err)
}

func (h *Handler) listUserTokens(c echo.Context) error {
	u, err := h.named(c)
	if err != nil {
		return err
	}
	list, err := h.users.AccessTokens(c.Request().Context(), u.ID)
	if err != nil {
		return err
	}
	return answer(c, map[string][]auth.AccessToken{"tokens": list})
}

func (h *Handler) deleteUserToken(c echo.Context) error {
	u, err := h.named(c)
	if err != nil {
		return err
	}
	return h.revokeToken(c, u.ID)
}
