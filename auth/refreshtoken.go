package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
)

// RefreshTokenPrefix begins every refresh token.
const RefreshTokenPrefix = "carat_refresh_"

const refreshTokenLength = 43 // of 62 kinds: 256 bits

// RefreshIdle is how long a refresh token holds when it is not used.
const RefreshIdle = 90 * 24 * time.Hour

const maxClientID = 100 // bytes

// RefreshToken is a sign-in that a program keeps in the place of a password.
// The hub knows only its hash.
type RefreshToken struct {
	ID         int64
	UserID     int64
	ClientID   string // the program, as it called itself
	Credential []byte // what identifies the password that it was made with
	UsedAt     time.Time
}

// RefreshTokenStore keeps refresh tokens. They end with their user.
type RefreshTokenStore interface {
	// CreateRefreshToken stores a token that is used at UsedAt first. Those of
	// the user that were last used before stale go, and the least recently
	// used of very many.
	CreateRefreshToken(ctx context.Context, t RefreshToken, hash []byte, stale time.Time) error
	// RefreshToken returns the token with a hash and its user. Errors: ErrUnknownToken.
	RefreshToken(ctx context.Context, hash []byte) (RefreshToken, User, error)
	// TouchRefreshToken notes that one was used.
	TouchRefreshToken(ctx context.Context, id int64, at time.Time) error
	// DeleteRefreshTokens ends all sign-ins of a user: those of programs, and
	// the sessions of browsers.
	DeleteRefreshTokens(ctx context.Context, userID int64) error
}

// NewRefreshToken makes and stores a refresh token for a user who has just
// given the password to a program. Errors: the store's.
func NewRefreshToken(ctx context.Context, store RefreshTokenStore, u User, clientID string, now time.Time) (string, error) {
	text := RefreshTokenPrefix + randomText(refreshTokenLength)
	t := RefreshToken{UserID: u.ID, ClientID: shortened(clientID), Credential: credentialOf(u), UsedAt: now}
	if err := store.CreateRefreshToken(ctx, t, hashToken(text), now.Add(-RefreshIdle)); err != nil {
		return "", err
	}
	return text, nil
}

// AuthenticateRefresh returns the user of a refresh token, if the password is
// still the one that it was made with. Programs share what one of them stored
// (in Docker's config.json), and nothing proves the name that a program gives
// itself, so it holds for all of them. Errors: ErrCredentials, the store's.
func AuthenticateRefresh(ctx context.Context, store RefreshTokenStore, text string, now time.Time) (User, error) {
	rest, ok := strings.CutPrefix(text, RefreshTokenPrefix)
	if !ok || !isRandomText(rest, refreshTokenLength) {
		return User{}, fmt.Errorf("%w: not a refresh token", ErrCredentials)
	}
	t, u, err := store.RefreshToken(ctx, hashToken(text))
	switch {
	case errors.Is(err, ErrUnknownToken):
		return User{}, fmt.Errorf("%w: unknown refresh token", ErrCredentials)
	case err != nil:
		return User{}, err
	case now.Sub(t.UsedAt) > RefreshIdle:
		return User{}, fmt.Errorf("%w: refresh token %d was not used for too long", ErrCredentials, t.ID)
	case subtle.ConstantTimeCompare(t.Credential, credentialOf(u)) != 1:
		return User{}, fmt.Errorf("%w: refresh token %d is from before another password", ErrCredentials, t.ID)
	}
	if now.Sub(t.UsedAt) >= time.Hour {
		if err := store.TouchRefreshToken(ctx, t.ID, now); err != nil {
			return User{}, err
		}
	}
	return u, nil
}

// credentialOf identifies a user's password: its salt is a new one each time
// that it is set.
func credentialOf(u User) []byte {
	sum := sha256.Sum256([]byte(u.PasswordHash))
	return sum[:]
}

// shortened cuts what a program says of itself to a harmless length.
func shortened(s string) string {
	s = graphic(s)
	return s[:min(len(s), maxClientID)]
}

// graphic replaces what cannot be shown.
func graphic(s string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && notGraphic(r) {
			return '_'
		}
		return r
	}, s)
}
