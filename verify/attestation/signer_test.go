package attestation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

// memoryKeys is a KeyStore in memory, shared by the nodes of a test.
type memoryKeys struct {
	now    time.Time
	keys   []Key // the one in use first
	seed   []byte
	broken error
}

func (m *memoryKeys) SigningKeys(context.Context) ([]Key, error) { return m.keys, m.broken }

func (m *memoryKeys) SigningSeed(_ context.Context, fresh []byte) ([]byte, error) {
	if m.broken != nil {
		return nil, m.broken
	}
	if len(m.keys) == 0 {
		return fresh, m.UseSigningKey(context.Background(), public(ed25519.NewKeyFromSeed(fresh)), fresh)
	}
	return m.seed, nil
}

func (m *memoryKeys) UseSigningKey(_ context.Context, p ed25519.PublicKey, seed []byte) error {
	i := slices.IndexFunc(m.keys, func(k Key) bool { return k.ID == KeyID(p) })
	switch {
	case i == 0:
		return nil
	case i > 0:
		return ErrKeyRetired
	case len(m.keys) > 0:
		m.keys[0].NotAfter = m.now
	}
	k := NewKey(p)
	k.NotBefore = m.now
	m.keys, m.seed = slices.Insert(m.keys, 0, k), seed
	return nil
}

func attest(t *testing.T, s *Signer, at time.Time) ([]byte, error) {
	t.Helper()
	r := sample()
	r.StartedAt, r.FinishedAt = at, at
	a, err := s.Attest(t.Context(), registry.Manifest{Digest: manifest, MediaType: registry.MediaTypeOCIManifest}, r)
	return a.Envelope, err
}

func opens(t *testing.T, envelope []byte, keys []Key) string {
	t.Helper()
	a, err := Open(t.Context(), envelope, keys)
	if err != nil {
		t.Fatal(err)
	}
	return a.Key.ID
}

func TestSignerRotates(t *testing.T) {
	t.Parallel()
	store := &memoryKeys{now: made}
	s, err := NewSigner(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewSigner(t.Context(), store)
	if err != nil || len(store.keys) != 1 {
		t.Fatalf("%v; %d keys after two nodes started", err, len(store.keys))
	}
	old, err := attest(t, s, made)
	if err != nil {
		t.Fatal(err)
	}
	store.now = made.Add(time.Hour)
	fresh, err := s.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	later, err := attest(t, second, store.now)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].ID != fresh.ID || keys[1].NotAfter != store.now {
		t.Fatalf("%v; keys %+v", err, keys)
	}
	if id := opens(t, later, keys); id != fresh.ID {
		t.Errorf("another node signs with %s after the rotation", id)
	}
	if id := opens(t, old, keys); id != keys[1].ID {
		t.Errorf("the old report is signed by %s", id)
	}
	if _, err := Open(t.Context(), old, keys[:1]); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the old report under the new key alone: %v", err)
	}
}

func TestSignerWithItsOwnKey(t *testing.T) {
	t.Parallel()
	store := &memoryKeys{now: made}
	s, err := NewSignerWith(t.Context(), store, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := attest(t, s, made)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, envelope, store.keys)
	if _, err := s.Rotate(t.Context()); !errors.Is(err, ErrForeignKey) {
		t.Errorf("rotate: %v", err)
	}
	without, err := NewSigner(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest(t, without, made); !errors.Is(err, ErrForeignKey) {
		t.Errorf("a node without the key signs: %v", err)
	}
	next, err := NewSignerWith(t.Context(), store, testKey(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest(t, s, made); !errors.Is(err, ErrKeyRetired) {
		t.Errorf("a node with the old key signs: %v", err)
	}
	if _, err := NewSignerWith(t.Context(), store, testKey(1)); !errors.Is(err, ErrKeyRetired) {
		t.Errorf("a node starts with the old key: %v", err)
	}
	if _, err := attest(t, next, made); err != nil {
		t.Error(err)
	}
	if _, err := without.Rotate(t.Context()); err != nil {
		t.Errorf("from a key outside to one of the hub's own: %v", err)
	}
	if _, err := attest(t, without, made); err != nil {
		t.Error(err)
	}
}

func TestSignerFails(t *testing.T) {
	t.Parallel()
	store := &memoryKeys{now: made}
	s, err := NewSigner(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	other := registry.Manifest{Digest: registry.DigestOf(registry.SHA256, []byte("other"))}
	if _, err := s.Attest(t.Context(), other, sample()); !errors.Is(err, ErrSubject) {
		t.Errorf("a report about another manifest: %v", err)
	}
	store.broken = errors.New("no database")
	if _, err := attest(t, s, made); !errors.Is(err, store.broken) {
		t.Errorf("without a database: %v", err)
	}
	if _, err := NewSigner(t.Context(), store); !errors.Is(err, store.broken) {
		t.Errorf("without a database: %v", err)
	}
}
