package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// AccessToken is a credential for programs.
type AccessToken struct {
	ID           int64     `json:"id"`
	Name         string    `json:"name"`
	Actions      []string  `json:"actions"`
	Repositories []string  `json:"repositories"`       // patterns
	Identity     string    `json:"identity,omitempty"` // whose identity token was exchanged for it
	CreatedAt    time.Time `json:"createdAt"`
	ExpiresAt    time.Time `json:"expiresAt,omitzero"`
	LastUsedAt   time.Time `json:"lastUsedAt,omitzero"`
	Token        string    `json:"token,omitempty"` // only when it was just made
}

// TokenRequest says what an access token is for.
type TokenRequest struct {
	Name         string        // for its owner
	Access       string        // "read" or "write"
	Repositories []string      // org/name, org/* or *; none for all
	Expires      time.Duration // how long it holds, 0 for ever
}

func (q *TokenRequest) body() map[string]any {
	return map[string]any{"name": q.Name, "access": q.Access, "repositories": q.Repositories, "expires": int64(q.Expires / time.Second)}
}

// CreateToken makes an access token. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateToken(ctx context.Context, q TokenRequest) (AccessToken, error) {
	var t AccessToken
	if err := h.change(ctx, http.MethodPost, "/api/v1/tokens", q.body(), &t); err != nil {
		return t, fmt.Errorf("make an access token: %w", err)
	}
	return t, nil
}

// Tokens lists one's own access tokens. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Tokens(ctx context.Context) ([]AccessToken, error) {
	var list struct {
		Tokens []AccessToken `json:"tokens"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/tokens", nil, &list); err != nil {
		return nil, fmt.Errorf("list access tokens: %w", err)
	}
	return list.Tokens, nil
}

// RevokeToken takes an access token away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RevokeToken(ctx context.Context, id int64) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/tokens/"+strconv.FormatInt(id, 10), nil, nil); err != nil {
		return fmt.Errorf("revoke access token %d: %w", id, err)
	}
	return nil
}

// SignOutEverywhere ends one's sign-ins that programs keep as refresh tokens.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SignOutEverywhere(ctx context.Context) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/sign-ins", nil, nil); err != nil {
		return fmt.Errorf("sign out everywhere: %w", err)
	}
	return nil
}

// TokenKey is a key that a hub signs the tokens of its token endpoint with.
type TokenKey struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	SignsFrom time.Time `json:"signsFrom"`
	EndsAt    time.Time `json:"endsAt,omitzero"` // when tokens of it are not taken any more
	Signs     bool      `json:"signs"`           // now
}

type tokenKeyList struct {
	Keys []TokenKey `json:"keys"`
}

// TokenKeys lists the keys of tokens, the newest first. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) TokenKeys(ctx context.Context) ([]TokenKey, error) {
	var list tokenKeyList
	if err := h.change(ctx, http.MethodGet, "/api/v1/token-keys", nil, &list); err != nil {
		return nil, fmt.Errorf("list the keys of tokens: %w", err)
	}
	return list.Keys, nil
}

// RotateTokenKey makes a fresh key of tokens, and takes the others away at once
// when drop is set. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RotateTokenKey(ctx context.Context, drop bool) ([]TokenKey, error) {
	var list tokenKeyList
	if err := h.change(ctx, http.MethodPost, "/api/v1/token-keys", map[string]bool{"drop": drop}, &list); err != nil {
		return nil, fmt.Errorf("replace the key of tokens: %w", err)
	}
	return list.Keys, nil
}
