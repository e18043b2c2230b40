package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		user := func(name string, admin bool) auth.User {
			t.Helper()
			u, err := b.CreateUser(ctx, auth.User{Name: name, PasswordHash: "h", Admin: admin})
			check(t, err)
			return u
		}
		root, ada := user("root", true), user("ada", false)
		user("bob", false)
		refused := func(name string, want error) {
			t.Helper()
			if err := b.DeleteUser(ctx, name); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		refused("nobody", auth.ErrUnknownUser)
		refused("root", auth.ErrLastAdmin)

		// All that a user may have.
		check(t, b.CreateOrg(ctx, auth.Org{Name: "acme"}, "ada"))
		refused("ada", auth.ErrLastOwner)
		check(t, b.SetRole(ctx, "acme", "bob", auth.Owner))
		check(t, b.CreateSession(ctx, auth.Session{UserID: ada.ID, Credential: []byte("c"), CreatedAt: b.now(), SeenAt: b.now()}, []byte("session"), time.Time{}, time.Time{}))
		check(t, b.CreateRefreshToken(ctx, auth.RefreshToken{UserID: ada.ID, Credential: []byte("c"), UsedAt: b.now()}, []byte("refresh"), time.Time{}))
		_, err := b.CreateAccessToken(ctx, auth.AccessToken{UserID: ada.ID, Name: "t", Actions: []auth.Action{auth.Pull}, Repositories: []string{"*"}, CreatedAt: b.now(), ExpiresAt: b.now().Add(time.Hour)}, []byte("access"))
		check(t, err)
		const own = registry.Name("ada/m")
		b.repo(t, own, auth.Public)
		w := model(own, "one", "v1")
		check(t, b.PutManifest(ctx, w))
		refused("ada", auth.ErrNotEmpty)
		check(t, b.DeleteManifest(ctx, own, w.Manifest.Digest))
		_, err = b.DropUnreferencedLinks(ctx, b.now().Add(time.Hour), 100)
		check(t, err)

		check(t, b.DeleteUser(ctx, "ada"))
		if _, err := b.User(ctx, "ada"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("the user: %v", err)
		}
		if _, _, err := b.Session(ctx, []byte("session")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("the session: %v", err)
		}
		if _, _, err := b.RefreshToken(ctx, []byte("refresh")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("the sign-in: %v", err)
		}
		if list, err := b.AccessTokens(ctx, ada.ID); err != nil || len(list) != 0 {
			t.Errorf("tokens: %v, %v", list, err)
		}
		members, err := b.Members(ctx, "acme")
		check(t, err)
		if d := diff([]auth.Member{{User: "bob", Role: auth.Owner}}, members); d != "" {
			t.Errorf("members (-want +got):\n%s", d)
		}
		refused("ada", auth.ErrUnknownUser)
		again := user("ada", false) // somebody else
		if again.ID == ada.ID {
			t.Error("the number of a user was given again")
		}
		user("second", true)
		check(t, b.DeleteUser(ctx, root.Name))
	})
}
