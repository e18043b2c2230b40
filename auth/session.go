package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SessionPrefix begins the secret of every session.
const SessionPrefix = "carat_session_"

const sessionLength = 43 // of 62 kinds: 256 bits

// How long a browser stays signed in: when it does not come back, and at all.
const (
	SessionIdle = 7 * 24 * time.Hour
	SessionLife = 30 * 24 * time.Hour
)

const maxUserAgent = 200 // bytes

// Session is a browser that is signed in. The hub knows only the hash of the
// secret that the browser keeps.
type Session struct {
	ID         int64
	UserID     int64
	Address    string // from which the browser signed in
	Agent      string // the browser, as it called itself
	Credential []byte // what identifies the password at that time
	CreatedAt  time.Time
	SeenAt     time.Time
}

// SessionStore keeps sessions. They end with their user.
type SessionStore interface {
	// CreateSession stores a session. Those of the user that were begun before
	// begun, or not seen since seen, go, and the oldest of very many.
	CreateSession(ctx context.Context, s Session, hash []byte, begun, seen time.Time) error
	// Session returns the session with a hash and its user. Errors: ErrUnknownToken.
	Session(ctx context.Context, hash []byte) (Session, User, error)
	// TouchSession notes that one was seen.
	TouchSession(ctx context.Context, id int64, at time.Time) error
	// Sessions lists those of a user, the last seen first.
	Sessions(ctx context.Context, userID int64) ([]Session, error)
	// DeleteSession ends one of a user's. Errors: ErrUnknownToken.
	DeleteSession(ctx context.Context, userID, id int64) error
}

// NewSession begins a session for a user who has just signed in from a
// browser. Errors: the store's.
func NewSession(ctx context.Context, store SessionStore, u User, address, agent string, now time.Time) (string, error) {
	text := SessionPrefix + randomText(sessionLength)
	agent = graphic(agent)
	s := Session{
		UserID: u.ID, Address: address, Agent: agent[:min(len(agent), maxUserAgent)], Credential: credentialOf(u), CreatedAt: now, SeenAt: now,
	}
	if err := store.CreateSession(ctx, s, hashToken(text), now.Add(-SessionLife), now.Add(-SessionIdle)); err != nil {
		return "", err
	}
	return text, nil
}

// AuthenticateSession returns the session of a secret and its user, if it
// holds and the password is still the one that it began with. Errors:
// ErrCredentials, the store's.
func AuthenticateSession(ctx context.Context, store SessionStore, text string, now time.Time) (Session, User, error) {
	rest, ok := strings.CutPrefix(text, SessionPrefix)
	if !ok || !isRandomText(rest, sessionLength) {
		return Session{}, User{}, fmt.Errorf("%w: not a session", ErrCredentials)
	}
	s, u, err := store.Session(ctx, hashToken(text))
	switch {
	case errors.Is(err, ErrUnknownToken):
		return s, User{}, fmt.Errorf("%w: unknown session", ErrCredentials)
	case err != nil:
		return s, User{}, err
	case now.Sub(s.SeenAt) > SessionIdle || now.Sub(s.CreatedAt) > SessionLife:
		return s, User{}, fmt.Errorf("%w: session %d is over", ErrCredentials, s.ID)
	case subtle.ConstantTimeCompare(s.Credential, credentialOf(u)) != 1:
		return s, User{}, fmt.Errorf("%w: session %d is from before another password", ErrCredentials, s.ID)
	}
	if now.Sub(s.SeenAt) >= 5*time.Minute {
		if err := store.TouchSession(ctx, s.ID, now); err != nil {
			return s, User{}, err
		}
	}
	return s, u, nil
}
