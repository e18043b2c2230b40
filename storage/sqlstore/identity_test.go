package sqlstore

import (
	"errors"
	"testing"

	"github.com/carat-hub/carat/auth"
)

func TestIdentities(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const issuer = "https://id.example.org"
		if _, err := b.UserOfIdentity(ctx, issuer, "s"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("nobody: %v", err)
		}
		ada, err := b.CreateUserOfIdentity(ctx, issuer, "s", "ada")
		check(t, err)
		got, err := b.UserOfIdentity(ctx, issuer, "s")
		check(t, err)
		if got.ID != ada.ID || got.Name != "ada" || got.PasswordHash != "" || got.Admin || got.Roles["ada"] != auth.Owner {
			t.Errorf("%+v", got)
		}
		again, err := b.CreateUserOfIdentity(ctx, issuer, "s", "eve")
		check(t, err)
		if again.ID != ada.ID {
			t.Errorf("a second user: %+v", again)
		}
		if _, err := b.User(ctx, "eve"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("who was not needed is there: %v", err)
		}
		if _, err := b.CreateUserOfIdentity(ctx, issuer, "other", "ada"); !errors.Is(err, auth.ErrUserExists) {
			t.Errorf("a name that is taken: %v", err)
		}
		if _, err := b.UserOfIdentity(ctx, "https://elsewhere.example.org", "s"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("another issuer: %v", err)
		}
		made := make([]auth.User, 4)
		for _, err := range together(len(made), func(i int) (err error) {
			made[i], err = b.CreateUserOfIdentity(ctx, issuer, "at once", string(rune('p'+i)))
			return err
		}) {
			check(t, err)
		}
		for _, u := range made {
			if u.ID != made[0].ID {
				t.Errorf("at once: %+v", made)
			}
		}
	})
}
