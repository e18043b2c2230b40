package authtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

// KeyStore is an auth.KeyStore in memory.
type KeyStore struct {
	mu   sync.Mutex
	keys []auth.Key
	err  error
	read int
}

var _ auth.KeyStore = (*KeyStore)(nil)

// NewKeyStore returns a store with the keys.
func NewKeyStore(keys ...auth.Key) *KeyStore { return &KeyStore{keys: keys} }

// Fail has every call return an error from now on.
func (s *KeyStore) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Reads is how often the keys were read.
func (s *KeyStore) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// Len is how many keys there are.
func (s *KeyStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// TokenKeys implements auth.KeyStore.
func (s *KeyStore) TokenKeys(context.Context) ([]auth.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	return slices.Clone(s.keys), s.err
}

// AddTokenKey implements auth.KeyStore.
func (s *KeyStore) AddTokenKey(_ context.Context, k auth.Key, othersEnd time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.keys); s.err != nil || n > 0 && s.keys[n-1].Serial >= k.Serial {
		return false, s.err
	}
	for i, old := range s.keys {
		if old.EndsAt.IsZero() || old.EndsAt.After(othersEnd) {
			s.keys[i].EndsAt = othersEnd
		}
	}
	s.keys = append(s.keys, k)
	return true, nil
}

// DeleteTokenKeys implements auth.KeyStore.
func (s *KeyStore) DeleteTokenKeys(_ context.Context, ended time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k auth.Key) bool { return !k.EndsAt.IsZero() && !k.EndsAt.After(ended) })
	return s.err
}

// Signer returns a signer of the hub's tokens, and its keys, the first of which is made of seed.
func Signer(t testing.TB, seed []byte) (*auth.Signer, *auth.Keys) {
	t.Helper()
	keys, err := auth.NewKeys(context.Background(), auth.KeyOptions{
		Store: NewKeyStore(auth.Key{Serial: 1, Seed: seed, CreatedAt: time.Now(), SignsFrom: time.Now()}),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := auth.NewSigner(auth.TokenOptions{Keys: keys, Issuer: "carat", Audience: "carat"})
	if err != nil {
		t.Fatal(err)
	}
	return s, keys
}
