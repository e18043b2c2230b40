package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

// oneToken is a store with one token.
type oneToken struct {
	auth.AccessTokenStore
	hash    string
	token   auth.AccessToken
	user    auth.User
	touched time.Time
}

func (s *oneToken) AccessToken(_ context.Context, hash []byte) (auth.AccessToken, auth.User, error) {
	if string(hash) != s.hash {
		return auth.AccessToken{}, auth.User{}, auth.ErrUnknownToken
	}
	return s.token, s.user, nil
}

func (s *oneToken) TouchAccessToken(_ context.Context, _ int64, at time.Time) error {
	s.touched = at
	return nil
}

func TestAuthenticateToken(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	text, hash := auth.NewAccessToken()
	if !auth.IsAccessToken(text) || len(text) < 40 {
		t.Fatalf("token %q", text)
	}
	read, _ := auth.ParseActions("read")
	s := &oneToken{hash: string(hash), user: auth.User{ID: 7, Name: "jane", Admin: true}, token: auth.AccessToken{Actions: read, Repositories: []string{"org/*"}, ExpiresAt: now.Add(time.Minute)}}
	p, err := auth.AuthenticateToken(t.Context(), s, text, now)
	if err != nil || p.UserID != 7 || !p.Limited || s.touched.IsZero() {
		t.Fatalf("principal %+v, %v", p, err)
	}
	private := auth.Resource{Repository: "org/m", Visibility: auth.Private}
	if _, err := auth.Allow(p, auth.Pull, private); err != nil {
		t.Errorf("reading: %v", err)
	}
	if _, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: "other/m", Visibility: auth.Private}); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("reading elsewhere: %v", err)
	}
	if _, err := auth.Allow(p, auth.Push, private); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("writing: %v", err)
	}
	if err := auth.Administer(p); err == nil {
		t.Error("a token administers")
	}
	s.user.Admin = false
	if p, err = auth.AuthenticateToken(t.Context(), s, text, now); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Allow(p, auth.Pull, private); err == nil {
		t.Error("a token may more than its user")
	}
	for name, tt := range map[string]struct {
		text string
		at   time.Time
	}{
		"expired": {text, now.Add(time.Minute)}, "unknown": {"hf_" + strings.Repeat("x", 37), now}, "short": {"hf_x", now}, "empty": {"", now},
		"another character": {"hf_" + strings.Repeat("x", 36) + "-", now},
	} {
		if _, err := auth.AuthenticateToken(t.Context(), s, tt.text, tt.at); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := auth.ParseScope("repository:*:pull"); err == nil {
		// What it names is no repository: nobody gets it granted.
		granted, err := auth.Narrow(auth.Principal{UserID: 1}, []auth.Scope{{Type: auth.TypeRepository, Name: "*", Actions: []string{"pull"}}}, func(string) (auth.Resource, error) { return auth.Resource{}, nil })
		if err != nil || len(granted) != 0 {
			t.Errorf("granted %+v, %v", granted, err)
		}
	}
}
