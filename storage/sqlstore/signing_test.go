package sqlstore

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/carat-hub/carat/verify/attestation"
)

func seedKey(n byte) (seed []byte, public ed25519.PublicKey) {
	seed = bytes.Repeat([]byte{n}, ed25519.SeedSize)
	return seed, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		keys, err := b.SigningKeys(ctx)
		check(t, err)
		if len(keys) != 0 {
			t.Errorf("a new hub has keys %v", keys)
		}
		seeds := make([][]byte, 8)
		for _, err := range together(len(seeds), func(i int) (err error) {
			fresh, _ := seedKey(byte(i + 1))
			seeds[i], err = b.SigningSeed(ctx, fresh)
			return err
		}) {
			check(t, err)
		}
		for _, s := range seeds[1:] {
			if len(s) != ed25519.SeedSize || !bytes.Equal(s, seeds[0]) {
				t.Errorf("callers got different seeds: %v", seeds)
			}
		}
		first := attestation.NewKey(ed25519.NewKeyFromSeed(seeds[0]).Public().(ed25519.PublicKey))
		first.NotBefore = start

		b.clock.advance(time.Hour)
		seed, public := seedKey(100)
		check(t, b.UseSigningKey(ctx, public, seed))
		check(t, b.UseSigningKey(ctx, public, seed)) // in use already
		got, err := b.SigningSeed(ctx, seeds[0])
		check(t, err)
		if !bytes.Equal(got, seed) {
			t.Errorf("seed %x", got)
		}
		if err := b.UseSigningKey(ctx, first.Public, seeds[0]); !errors.Is(err, attestation.ErrKeyRetired) {
			t.Errorf("a key that was replaced: %v", err)
		}
		b.clock.advance(time.Hour)
		_, outside := seedKey(101)
		check(t, b.UseSigningKey(ctx, outside, nil))
		got, err = b.SigningSeed(ctx, seeds[0])
		check(t, err)
		if got != nil {
			t.Errorf("seed %x of a key that is kept elsewhere", got)
		}
		first.NotAfter = start.Add(time.Hour)
		second, third := attestation.NewKey(public), attestation.NewKey(outside)
		second.NotBefore, second.NotAfter = first.NotAfter, start.Add(2*time.Hour)
		third.NotBefore = second.NotAfter
		keys, err = b.SigningKeys(ctx)
		check(t, err)
		if d := diff([]attestation.Key{third, second, first}, keys); d != "" {
			t.Errorf("keys (-want +got):\n%s", d)
		}
		var kept int
		check(t, b.db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM signing_keys WHERE seed IS NOT NULL").Scan(&kept))
		if kept != 0 {
			t.Errorf("%d seeds are kept of keys that sign nothing any more", kept)
		}
	})
}
