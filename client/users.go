package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/carat-hub/carat/registry"
)

// User is a user as administrators see them.
type User struct {
	Name      string    `json:"name"`
	Admin     bool      `json:"admin"`
	CreatedAt time.Time `json:"createdAt"`
}

// Users lists all users. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Users(ctx context.Context) ([]User, error) {
	var list struct {
		Users []User `json:"users"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/users", nil, &list); err != nil {
		return nil, fmt.Errorf("list the users: %w", err)
	}
	return list.Users, nil
}

// CreateUser makes a user. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateUser(ctx context.Context, name, password string) error {
	if err := h.change(ctx, http.MethodPost, "/api/v1/users", map[string]string{"name": name, "password": password}, nil); err != nil {
		return fmt.Errorf("make user %s: %w", name, err)
	}
	return nil
}

// SetPassword changes the password of a user. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetPassword(ctx context.Context, name, password string) error {
	if err := h.change(ctx, http.MethodPatch, "/api/v1/users/"+url.PathEscape(name), map[string]string{"password": password}, nil); err != nil {
		return fmt.Errorf("set the password of %s: %w", name, err)
	}
	return nil
}

// SetAdmin makes a user an administrator, or not. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetAdmin(ctx context.Context, name string, admin bool) error {
	if err := h.change(ctx, http.MethodPatch, "/api/v1/users/"+url.PathEscape(name), map[string]bool{"admin": admin}, nil); err != nil {
		return fmt.Errorf("change user %s: %w", name, err)
	}
	return nil
}

// DeleteUser deletes a user with what is theirs alone. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DeleteUser(ctx context.Context, name string) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/users/"+url.PathEscape(name), nil, nil); err != nil {
		return fmt.Errorf("delete user %s: %w", name, err)
	}
	return nil
}

// UserTokens lists the access tokens of a user or a robot. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) UserTokens(ctx context.Context, name string) ([]AccessToken, error) {
	var list struct {
		Tokens []AccessToken `json:"tokens"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/users/"+url.PathEscape(name)+"/tokens", nil, &list); err != nil {
		return nil, fmt.Errorf("list the access tokens of %s: %w", name, err)
	}
	return list.Tokens, nil
}

// RevokeUserToken takes an access token of a user or a robot away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RevokeUserToken(ctx context.Context, name string, id int64) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/users/"+url.PathEscape(name)+"/tokens/"+strconv.FormatInt(id, 10), nil, nil); err != nil {
		return fmt.Errorf("revoke access token %d of %s: %w", id, name, err)
	}
	return nil
}

// SetVisibility changes who may pull a model: "public", "internal" or "private".
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetVisibility(ctx context.Context, n registry.Name, visibility string) error {
	if err := h.change(ctx, http.MethodPatch, "/api/v1/models/"+string(n), map[string]string{"visibility": visibility}, nil); err != nil {
		return fmt.Errorf("set the visibility of %s: %w", n, err)
	}
	return nil
}
