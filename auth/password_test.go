package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
)

type users map[string]auth.User

func (u users) User(_ context.Context, name string) (auth.User, error) {
	if name == "broken" {
		return auth.User{}, errStore
	}
	if v, ok := u[name]; ok {
		return v, nil
	}
	return auth.User{}, auth.ErrUnknownUser
}

var errStore = errors.New("store is away")

func TestPassword(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	hash, err := auth.HashPassword(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q", hash)
	}
	if err := auth.CheckPassword(ctx, hash, "correct horse"); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "correct hors", "correct horse ", "Correct horse", "correct horse\x00"} {
		if err := auth.CheckPassword(ctx, hash, wrong); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	other, err := auth.HashPassword(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if other == hash {
		t.Error("two hashes of one password are equal: no salt")
	}
	for _, bad := range []string{"", strings.Repeat("x", 1025)} {
		if _, err := auth.HashPassword(ctx, bad); err == nil {
			t.Errorf("a password of %d bytes is taken", len(bad))
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	// Either the place or the cancelled context wins when both are ready.
	if err := auth.CheckPassword(gone, hash, "wrong"); err == nil {
		t.Error("a wrong password passes after cancellation")
	}
}

func TestCheckPasswordDamagedHash(t *testing.T) {
	t.Parallel()
	const salt, key = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, hash := range []string{
		"", "x", "correct horse", "$2b$10$abcdefghijklmnopqrstuv",
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=4294967295,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=999$" + salt + "$" + key,
		"$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$!!$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "$more",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 400),
	} {
		err := auth.CheckPassword(t.Context(), hash, "anything")
		if err == nil || errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%q: %v", hash, err)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPassword(t.Context(), "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	store := users{"admin": {ID: 1, Name: "admin", PasswordHash: hash, Admin: true}, "damaged": {ID: 2, Name: "damaged", PasswordHash: "?"}}
	u, err := auth.Authenticate(t.Context(), store, "admin", "s3cret")
	if err != nil || u.ID != 1 || !u.Principal().Admin || u.Principal().Limited {
		t.Errorf("%+v, %v", u, err)
	}
	for _, tc := range []struct{ name, password string }{
		{"admin", "wrong"},
		{"admin", ""},
		{"admin", strings.Repeat("x", 5000)},
		{"nobody", "s3cret"},
		{"nobody", ""},
		{"", ""},
		{"", "s3cret"},
		{strings.Repeat("x", 5000), "s3cret"},
	} {
		u, err := auth.Authenticate(t.Context(), store, tc.name, tc.password)
		if !errors.Is(err, auth.ErrCredentials) || u.ID != 0 {
			t.Errorf("%.10q %.10q: %+v, %v", tc.name, tc.password, u, err)
		}
	}
	if _, err := auth.Authenticate(t.Context(), store, "broken", "s3cret"); !errors.Is(err, errStore) || errors.Is(err, auth.ErrCredentials) {
		t.Errorf("store away: %v", err)
	}
	if _, err := auth.Authenticate(t.Context(), store, "damaged", "s3cret"); err == nil || errors.Is(err, auth.ErrCredentials) {
		t.Errorf("damaged hash: %v", err)
	}
}

// A caller that left does not wait for a place.
func TestHashPasswordCancelled(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPassword(t.Context(), "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := auth.CheckPassword(gone, hash, "wrong"); errors.Is(err, context.Canceled) {
			return
		}
	}
	t.Error("cancellation never ends the wait")
}
