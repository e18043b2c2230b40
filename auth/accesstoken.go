package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AccessTokenPrefix begins every access token. With it, programs for Hugging
// Face send them: some look at the form before they do.
const AccessTokenPrefix = "hf_"

// accessTokenLength is how many characters follow the prefix: 37 of 62 kinds
// have 220 bits.
const accessTokenLength = 37

const tokenAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Errors of an AccessTokenStore.
var (
	// ErrUnknownToken says that there is no such token, or none any more.
	ErrUnknownToken = errors.New("unknown access token")
	// ErrTooManyTokens says that a user has as many as they may.
	ErrTooManyTokens = errors.New("too many access tokens")
)

// AccessToken is a credential that a user made for a program, or that a
// workload got for its identity. The hub knows only its hash.
type AccessToken struct {
	ID           int64     `json:"id"`
	UserID       int64     `json:"-"`
	Name         string    `json:"name"`
	Actions      []Action  `json:"actions"`            // that it may be used for, of those that the user may
	Repositories []string  `json:"repositories"`       // where, as patterns; see ParsePatterns
	Identity     string    `json:"identity,omitempty"` // whose identity token was exchanged for it
	CreatedAt    time.Time `json:"createdAt"`
	ExpiresAt    time.Time `json:"expiresAt,omitzero"`
	LastUsedAt   time.Time `json:"lastUsedAt,omitzero"` // to the hour
}

// AccessTokenStore keeps access tokens.
type AccessTokenStore interface {
	// CreateAccessToken stores a token that a user made and returns its id.
	// Errors: ErrTooManyTokens.
	CreateAccessToken(ctx context.Context, t AccessToken, hash []byte) (int64, error)
	// AccessToken returns the token with a hash and its user. Errors: ErrUnknownToken.
	AccessToken(ctx context.Context, hash []byte) (AccessToken, User, error)
	// AccessTokens lists those of a user, the newest first.
	AccessTokens(ctx context.Context, userID int64) ([]AccessToken, error)
	// DeleteAccessToken takes one away. Errors: ErrUnknownToken.
	DeleteAccessToken(ctx context.Context, userID, id int64) error
	// TouchAccessToken notes that one was used.
	TouchAccessToken(ctx context.Context, id int64, at time.Time) error
}

// NewAccessToken returns a fresh token and its hash.
func NewAccessToken() (text string, hash []byte) {
	text = AccessTokenPrefix + randomText(accessTokenLength)
	return text, hashToken(text)
}

// randomText returns n characters of the alphabet, each with the same chance.
func randomText(n int) string {
	text := make([]byte, 0, n)
	for len(text) < n {
		var p [1]byte
		_, _ = rand.Read(p[:]) // never fails
		if i := int(p[0] & 63); i < len(tokenAlphabet) {
			text = append(text, tokenAlphabet[i])
		}
	}
	return string(text)
}

// isRandomText reports whether a text has the form of what randomText returns.
func isRandomText(text string, n int) bool {
	return len(text) == n && strings.Trim(text, tokenAlphabet) == ""
}

// hashToken is what is stored of a token: it has too much chance to be guessed from it.
func hashToken(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// IsAccessToken reports whether a credential has the form of an access token.
func IsAccessToken(text string) bool {
	rest, ok := strings.CutPrefix(text, AccessTokenPrefix)
	return ok && isRandomText(rest, accessTokenLength)
}

// AuthenticateToken returns the principal of an access token: its user,
// limited to what the token is for. Errors: ErrCredentials, the store's.
func AuthenticateToken(ctx context.Context, store AccessTokenStore, text string, now time.Time) (Principal, error) {
	if !IsAccessToken(text) {
		return Principal{}, fmt.Errorf("%w: not an access token", ErrCredentials)
	}
	t, u, err := store.AccessToken(ctx, hashToken(text))
	if errors.Is(err, ErrUnknownToken) {
		return Principal{}, fmt.Errorf("%w: unknown access token", ErrCredentials)
	}
	if err != nil {
		return Principal{}, err
	}
	if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return Principal{}, fmt.Errorf("%w: access token %d has expired", ErrCredentials, t.ID)
	}
	if now.Sub(t.LastUsedAt) >= time.Hour {
		if err := store.TouchAccessToken(ctx, t.ID, now.Truncate(time.Hour)); err != nil {
			return Principal{}, err
		}
	}
	p := u.Principal()
	p.Limited, p.Scopes, p.Until = true, t.scopes(), t.ExpiresAt
	return p, nil
}

// scopes are what the token permits, with patterns for names.
func (t AccessToken) scopes() []Scope {
	actions := make([]string, len(t.Actions))
	for i, a := range t.Actions {
		actions[i] = string(a)
	}
	list := make([]Scope, len(t.Repositories))
	for i, pattern := range t.Repositories {
		list[i] = Scope{Type: TypeRepository, Name: pattern, Actions: actions}
	}
	return list
}

// ParseActions reads what a token may be used for: "read" or "write".
func ParseActions(s string) ([]Action, bool) {
	switch s {
	case "read":
		return []Action{Pull}, true
	case "write":
		return []Action{Pull, Push, Delete}, true
	}
	return nil, false
}

// ActionNames joins actions by commas, as they are stored.
func ActionNames(list []Action) string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = string(a)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
