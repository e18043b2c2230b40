package sqlstore

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/carat-hub/carat/auth"
)

func TestSSHKeys(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		jane, err := b.CreateUser(ctx, auth.User{Name: "jane", PasswordHash: "x", Admin: true})
		check(t, err)
		john, err := b.CreateUser(ctx, auth.User{Name: "john", PasswordHash: "x"})
		check(t, err)
		public := func(i int) ed25519.PublicKey { return bytes.Repeat([]byte{byte(i)}, ed25519.PublicKeySize) }
		id, err := b.CreateSSHKey(ctx, auth.SSHKey{UserID: jane.ID, Name: "laptop", Public: public(0)})
		check(t, err)
		if _, err := b.CreateSSHKey(ctx, auth.SSHKey{UserID: john.ID, Public: public(0)}); !errors.Is(err, auth.ErrSSHKeyTaken) {
			t.Errorf("somebody else's key: %v", err)
		}
		k, u, err := b.SSHKey(ctx, public(0))
		check(t, err)
		if k.ID != id || k.Name != "laptop" || !k.Public.Equal(public(0)) || !k.CreatedAt.Equal(start) || !k.LastUsedAt.IsZero() || u.ID != jane.ID || !u.Admin {
			t.Errorf("key %+v of %+v", k, u)
		}
		check(t, b.TouchSSHKey(ctx, id, start))
		list, err := b.SSHKeys(ctx, jane.ID)
		check(t, err)
		if len(list) != 1 || !list[0].LastUsedAt.Equal(start) || !list[0].Public.Equal(public(0)) {
			t.Errorf("keys %+v", list)
		}
		if err := b.DeleteSSHKey(ctx, john.ID, id); !errors.Is(err, auth.ErrUnknownSSHKey) {
			t.Errorf("taken away by somebody else: %v", err)
		}
		check(t, b.DeleteSSHKey(ctx, jane.ID, id))
		if _, _, err := b.SSHKey(ctx, public(0)); !errors.Is(err, auth.ErrUnknownSSHKey) {
			t.Errorf("after it was taken away: %v", err)
		}
		for i := range maxSSHKeys {
			_, err := b.CreateSSHKey(ctx, auth.SSHKey{UserID: john.ID, Public: public(i)})
			check(t, err)
		}
		if _, err := b.CreateSSHKey(ctx, auth.SSHKey{UserID: john.ID, Public: public(200)}); !errors.Is(err, auth.ErrTooManySSHKeys) {
			t.Errorf("one too many: %v", err)
		}
	})
}
