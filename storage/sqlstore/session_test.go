package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		ada, err := b.CreateUser(ctx, auth.User{Name: "ada", PasswordHash: "h"})
		check(t, err)
		bob, err := b.CreateUser(ctx, auth.User{Name: "bob", PasswordHash: "h"})
		check(t, err)
		start := b.now()
		begin := func(u auth.User, hash string, at time.Time) {
			t.Helper()
			check(t, b.CreateSession(ctx, auth.Session{UserID: u.ID, Address: "192.0.2.7", Agent: "B\x00\xff", Credential: []byte("c"), CreatedAt: at, SeenAt: at},
				[]byte(hash), at.Add(-auth.SessionLife), at.Add(-auth.SessionIdle)))
		}
		begin(ada, "one", start)
		begin(bob, "bob's", start)
		got, u, err := b.Session(ctx, []byte("one"))
		check(t, err)
		if got.UserID != ada.ID || u.Name != "ada" || got.Address != "192.0.2.7" || string(got.Credential) != "c" || !got.CreatedAt.Equal(start) || u.Roles["ada"] != auth.Owner {
			t.Errorf("%+v of %+v", got, u)
		}
		if _, _, err := b.Session(ctx, []byte("none")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("none: %v", err)
		}
		check(t, b.TouchSession(ctx, got.ID, start.Add(time.Hour)))
		begin(ada, "two", start.Add(time.Minute))
		list, err := b.Sessions(ctx, ada.ID)
		check(t, err)
		if len(list) != 2 || list[0].ID != got.ID || !list[0].SeenAt.Equal(start.Add(time.Hour)) {
			t.Errorf("%+v", list)
		}
		begin(ada, "three", start.Add(auth.SessionIdle+30*time.Minute)) // "two" was not seen for too long, "one" was
		list, err = b.Sessions(ctx, ada.ID)
		check(t, err)
		if len(list) != 2 || list[1].ID != got.ID {
			t.Errorf("after a week: %+v", list)
		}
		if err := b.DeleteSession(ctx, bob.ID, got.ID); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("somebody else's: %v", err)
		}
		check(t, b.DeleteSession(ctx, ada.ID, got.ID))
		if _, _, err := b.Session(ctx, []byte("one")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("ended: %v", err)
		}
		for i := range maxSessions + 5 {
			begin(ada, string(rune('A'+i)), start.Add(auth.SessionIdle+time.Hour+time.Duration(i)*time.Second))
		}
		if list, err = b.Sessions(ctx, ada.ID); err != nil || len(list) != maxSessions {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		check(t, b.DeleteRefreshTokens(ctx, ada.ID))
		for u, want := range map[int64]int{ada.ID: 0, bob.ID: 1} {
			if list, err = b.Sessions(ctx, u); err != nil || len(list) != want {
				t.Errorf("after signing out everywhere %d of %d, %v", len(list), u, err)
			}
		}
	})
}
