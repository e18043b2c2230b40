package sqlstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		jane, err := b.CreateUser(ctx, auth.User{Name: "jane", PasswordHash: "x"})
		check(t, err)
		john, err := b.CreateUser(ctx, auth.User{Name: "john", PasswordHash: "x", Admin: true})
		check(t, err)
		until := time.Unix(100, 0).UTC()
		id, err := b.CreateAccessToken(ctx, auth.AccessToken{UserID: jane.ID, Name: "laptop", Actions: []auth.Action{auth.Pull}, Repositories: []string{"acme/*", "lab/m"}, ExpiresAt: until}, []byte("hash"))
		check(t, err)
		got, u, err := b.AccessToken(ctx, []byte("hash"))
		check(t, err)
		if got.ID != id || got.Name != "laptop" || len(got.Actions) != 1 || got.Actions[0] != auth.Pull || !got.ExpiresAt.Equal(until) || !got.LastUsedAt.IsZero() || strings.Join(got.Repositories, " ") != "acme/* lab/m" || got.Identity != "" || u.Name != "jane" || u.Admin {
			t.Errorf("token %+v of %+v", got, u)
		}
		if _, _, err := b.AccessToken(ctx, []byte("other")); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("another hash: %v", err)
		}
		check(t, b.TouchAccessToken(ctx, id, until))
		list, err := b.AccessTokens(ctx, jane.ID)
		check(t, err)
		if len(list) != 1 || !list[0].LastUsedAt.Equal(until) {
			t.Errorf("tokens: %+v", list)
		}
		if list, err := b.AccessTokens(ctx, john.ID); err != nil || len(list) != 0 {
			t.Errorf("somebody else's: %v %v", list, err)
		}
		if err := b.DeleteAccessToken(ctx, john.ID, id); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("taken away by somebody else: %v", err)
		}
		check(t, b.DeleteAccessToken(ctx, jane.ID, id))
		for i := range maxAccessTokens {
			_, err := b.CreateAccessToken(ctx, auth.AccessToken{UserID: jane.ID, Name: "x", Actions: []auth.Action{auth.Pull}}, []byte{byte(i)})
			check(t, err)
		}
		if _, err := b.CreateAccessToken(ctx, auth.AccessToken{UserID: jane.ID, Name: "x", Actions: []auth.Action{auth.Pull}}, []byte("one more")); !errors.Is(err, auth.ErrTooManyTokens) {
			t.Errorf("one too many: %v", err)
		}
		// Those of workloads do not count, and go once they have expired.
		for i := range 3 {
			short := auth.AccessToken{UserID: jane.ID, Name: "ci", Identity: "https://issuer job", Actions: []auth.Action{auth.Pull}, Repositories: []string{"*"}, ExpiresAt: b.clock.now().Add(time.Hour)}
			_, err := b.ExchangeIdentity(ctx, []byte{byte(i)}, b.clock.now().Add(time.Minute), short, []byte{1, byte(i)})
			check(t, err)
			if _, err := b.ExchangeIdentity(ctx, []byte{byte(i)}, b.clock.now().Add(time.Minute), short, []byte{2, byte(i)}); !errors.Is(err, auth.ErrTokenUsed) {
				t.Errorf("exchanged twice: %v", err)
			}
			if i == 1 {
				b.clock.advance(2 * time.Hour)
			}
		}
		list, err = b.AccessTokens(ctx, jane.ID)
		check(t, err)
		if len(list) != maxAccessTokens+1 || list[0].Identity != "https://issuer job" {
			t.Errorf("%d tokens, the first %+v", len(list), list[0])
		}
		var left int
		check(t, b.db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM exchanged_tokens").Scan(&left))
		if left != 1 {
			t.Errorf("%d identity tokens are remembered", left)
		}
	})
}
