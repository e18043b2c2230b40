package sqlstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		jane, err := b.CreateUser(ctx, auth.User{Name: "jane", PasswordHash: "first"})
		check(t, err)
		john, err := b.CreateUser(ctx, auth.User{Name: "john", PasswordHash: "x"})
		check(t, err)
		now := start
		text, err := auth.NewRefreshToken(ctx, b.Store, jane, "docker\n", now)
		check(t, err)
		good := func(what, text string, want error) {
			t.Helper()
			u, err := auth.AuthenticateRefresh(ctx, b.Store, text, now)
			if !errors.Is(err, want) || err == nil && u.ID != jane.ID {
				t.Errorf("%s: %+v, %v", what, u, err)
			}
		}
		good("fresh", text, nil)
		good("another", text[:len(text)-1]+"-", auth.ErrCredentials)
		good("one that was never made", auth.RefreshTokenPrefix+fmt.Sprintf("%043d", 1), auth.ErrCredentials)
		now = now.Add(89 * 24 * time.Hour)
		good("89 days later", text, nil)
		now = now.Add(89 * 24 * time.Hour)
		good("89 days after that use", text, nil)
		now = now.Add(auth.RefreshIdle + time.Second)
		good("not used for too long", text, auth.ErrCredentials)

		second, err := auth.NewRefreshToken(ctx, b.Store, jane, "", now)
		check(t, err)
		if _, _, err := b.RefreshToken(ctx, []byte("x")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("another hash: %v", err)
		}
		var left int
		count := func() int {
			check(t, b.db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM refresh_tokens").Scan(&left))
			return left
		}
		if count() != 1 {
			t.Errorf("%d tokens are left, and one is stale", left)
		}
		check(t, b.DeleteRefreshTokens(ctx, john.ID))
		good("after john signed out everywhere", second, nil)
		// Another password ends it, however it was set.
		_, err = b.db.writer.ExecContext(ctx, "UPDATE users SET password_hash = 'second' WHERE id = $1", jane.ID)
		check(t, err)
		good("after another password", second, auth.ErrCredentials)
		jane, err = b.User(ctx, "jane")
		check(t, err)
		third, err := auth.NewRefreshToken(ctx, b.Store, jane, "", now)
		check(t, err)
		good("with the new password", third, nil)
		check(t, b.DeleteRefreshTokens(ctx, jane.ID))
		good("after jane signed out everywhere", third, auth.ErrCredentials)

		var oldest string
		for i := range maxRefreshTokens + 5 {
			now = now.Add(time.Minute)
			text, err := auth.NewRefreshToken(ctx, b.Store, jane, "ci", now)
			check(t, err)
			if i == 5 {
				oldest = text
			}
		}
		if count() != maxRefreshTokens {
			t.Errorf("%d tokens", left)
		}
		good("the oldest of the last", oldest, nil)
		_, err = b.db.writer.ExecContext(ctx, "DELETE FROM users WHERE id = $1", jane.ID)
		check(t, err)
		good("after the user went", oldest, auth.ErrCredentials)
		if count() != 0 {
			t.Errorf("%d tokens of nobody", left)
		}
	})
}
