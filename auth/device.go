package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DeviceSignIn is a program that asked to be signed in by a browser
// (RFC 8628). The program keeps a secret; its person types a short code.
type DeviceSignIn struct {
	ID        int64
	UserCode  string // as NormalUserCode returns it
	ClientID  string // the program, as it called itself
	Address   string // from which it asked
	State     DeviceState
	UserID    int64 // who allowed it, 0 before
	CreatedAt time.Time
	PolledAt  time.Time // when the program last asked how it stands
}

// DeviceState is how a sign-in of a program stands.
type DeviceState int

// The states.
const (
	DevicePending DeviceState = iota
	DeviceAllowed
	DeviceDenied
)

// DeviceStore keeps sign-ins of programs until they are answered.
type DeviceStore interface {
	// CreateDeviceSignIn stores one. Those begun before stale go, and the oldest
	// of very many.
	CreateDeviceSignIn(ctx context.Context, d DeviceSignIn, hash []byte, stale time.Time) error
	// DeviceSignIn returns the one with a user code. Errors: ErrUnknownToken.
	DeviceSignIn(ctx context.Context, userCode string) (DeviceSignIn, error)
	// AnswerDeviceSignIn allows or denies a pending one. Errors: ErrUnknownToken.
	AnswerDeviceSignIn(ctx context.Context, userCode string, userID int64, state DeviceState) error
	// PollDeviceSignIn returns the one with a hash as it was, and who allowed it,
	// and notes that it was asked for; one that is answered goes. Errors: ErrUnknownToken.
	PollDeviceSignIn(ctx context.Context, hash []byte, at time.Time) (DeviceSignIn, User, error)
}

// How long a person has to answer, and how often the program may ask.
const (
	DeviceLife     = 10 * time.Minute
	DeviceInterval = 5 * time.Second
)

// Errors of a program that asks how its sign-in stands.
var (
	ErrDevicePending  = errors.New("nobody has answered yet")
	ErrDeviceTooFast  = errors.New("asked too often")
	ErrDeviceRefused  = errors.New("the sign-in was refused")
	ErrDeviceExpired  = errors.New("the code is not valid any more")
	errDeviceAttempts = errors.New("no free code was found")
)

const (
	deviceCodePrefix = "carat_device_"
	deviceCodeLength = 43 // of 62 kinds: 256 bits

	// userCodeLetters make no words, and none is taken for another (RFC 8628, section 6.1).
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8 // 2.6e10 of them
)

// NewDeviceSignIn stores the sign-in of a program, and returns the secret for
// it and the code for its person. Errors: the store's.
func NewDeviceSignIn(ctx context.Context, store DeviceStore, clientID, address string, now time.Time) (secret, userCode string, err error) {
	secret = deviceCodePrefix + randomText(deviceCodeLength)
	const attempts = 5 // at codes that nobody has
	for range attempts {
		userCode = newUserCode()
		if _, err := store.DeviceSignIn(ctx, userCode); errors.Is(err, ErrUnknownToken) {
			d := DeviceSignIn{UserCode: userCode, ClientID: shortened(clientID), Address: address, CreatedAt: now, PolledAt: now}
			return secret, ShownUserCode(userCode), store.CreateDeviceSignIn(ctx, d, hashToken(secret), now.Add(-DeviceLife))
		} else if err != nil {
			return "", "", err
		}
	}
	return "", "", errDeviceAttempts
}

func newUserCode() string {
	b := make([]byte, 0, userCodeLength)
	var one [1]byte
	for len(b) < userCodeLength {
		rand.Read(one[:]) // never fails since Go 1.24
		// 240 is the largest multiple of 20 in a byte, so that all letters are alike.
		if one[0] < 240 {
			b = append(b, userCodeLetters[one[0]%byte(len(userCodeLetters))])
		}
	}
	return string(b)
}

// ShownUserCode writes a code for people: ABCD-EFGH.
func ShownUserCode(code string) string {
	if len(code) != userCodeLength {
		return code
	}
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

// NormalUserCode reads a code as somebody typed it, "" for what is none.
func NormalUserCode(typed string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-':
		case strings.ContainsRune(userCodeLetters, r) && b.Len() < userCodeLength:
			b.WriteRune(r)
		default:
			return ""
		}
	}
	if b.Len() != userCodeLength {
		return ""
	}
	return b.String()
}

// PendingDevice returns the sign-in of a code that waits for an answer. Errors:
// ErrDeviceExpired, the store's.
func PendingDevice(ctx context.Context, store DeviceStore, typed string, now time.Time) (DeviceSignIn, error) {
	code := NormalUserCode(typed)
	if code == "" {
		return DeviceSignIn{}, ErrDeviceExpired
	}
	d, err := store.DeviceSignIn(ctx, code)
	if errors.Is(err, ErrUnknownToken) || err == nil && (d.State != DevicePending || now.Sub(d.CreatedAt) > DeviceLife) {
		return DeviceSignIn{}, ErrDeviceExpired
	}
	return d, err
}

// FinishDevice returns who allowed the sign-in of a program, once. Errors:
// ErrDevicePending, ErrDeviceTooFast, ErrDeviceRefused, ErrDeviceExpired, the store's.
func FinishDevice(ctx context.Context, store DeviceStore, secret string, now time.Time) (DeviceSignIn, User, error) {
	rest, ok := strings.CutPrefix(secret, deviceCodePrefix)
	if !ok || !isRandomText(rest, deviceCodeLength) {
		return DeviceSignIn{}, User{}, ErrDeviceExpired
	}
	d, u, err := store.PollDeviceSignIn(ctx, hashToken(secret), now)
	switch {
	case errors.Is(err, ErrUnknownToken):
		return d, User{}, ErrDeviceExpired
	case err != nil:
		return d, User{}, fmt.Errorf("look up the sign-in of a program: %w", err)
	case now.Sub(d.CreatedAt) > DeviceLife:
		return d, User{}, ErrDeviceExpired
	case d.State == DeviceDenied:
		return d, User{}, ErrDeviceRefused
	case d.State == DeviceAllowed:
		return d, u, nil
	case d.PolledAt.After(d.CreatedAt) && now.Sub(d.PolledAt) < DeviceInterval-time.Second: // a network is not that regular
		return d, User{}, ErrDeviceTooFast
	}
	return d, User{}, ErrDevicePending
}
