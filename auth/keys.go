package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// SeedLen is the length of a signing seed in bytes.
const SeedLen = ed25519.SeedSize

const (
	// JWKSMaxAge is how long others may keep the published keys.
	JWKSMaxAge = 5 * time.Minute

	// publishLead is how long a key is published before it signs: longer than
	// others keep the list, and than a node does not look at the store.
	publishLead = 3 * JWKSMaxAge

	refreshEvery  = 10 * time.Second
	refreshAtMost = time.Second // for tokens with a key id that is not known
	defaultKeyAge = 30 * 24 * time.Hour
	defaultMaxTTL = time.Hour
	keyIDLen      = 16
	keyIDBytes    = keyIDLen * 3 / 4
)

// ErrRotating says that a key waits for its time to sign already.
var ErrRotating = errors.New("a fresh key is about to sign")

// Key is a key that tokens are signed with.
type Key struct {
	Serial    int64     // 1, 2, 3 …: each replaces the one before
	Seed      []byte    // SeedLen bytes
	CreatedAt time.Time // from when on it is published and verifies
	SignsFrom time.Time // from when on it signs, until a later one does
	EndsAt    time.Time // when it stops to verify, zero for the newest
}

// KeyStore keeps the keys, the same for all nodes.
type KeyStore interface {
	// TokenKeys returns all keys, by serial.
	TokenKeys(ctx context.Context) ([]Key, error)
	// AddTokenKey stores a key, has those before it end at a time, unless they
	// end earlier, and reports true; or reports false when there is a key of
	// that serial already.
	AddTokenKey(ctx context.Context, k Key, othersEnd time.Time) (bool, error)
	// DeleteTokenKeys deletes the keys that ended at a time or before.
	DeleteTokenKeys(ctx context.Context, ended time.Time) error
}

// KeyOptions are what Keys are made of.
type KeyOptions struct {
	Store KeyStore // required
	// Age is how long a key signs before a fresh one does; 30 days when zero.
	Age time.Duration
	// MaxTTL is how long a token may hold: so long a key verifies after it has
	// signed last. One hour when zero.
	MaxTTL time.Duration
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
}

// Keys are the keys that tokens are signed with: one signs, and those before
// it verify until the last token that they signed has ended. It is safe for
// concurrent use, and by several nodes with one store.
type Keys struct {
	store  KeyStore
	age    time.Duration
	maxTTL time.Duration
	now    func() time.Time

	refreshing sync.Mutex                // held while the store is read
	looked     time.Time                 // when that began last
	ring       atomic.Pointer[[]ringKey] // by serial, at least one
}

type ringKey struct {
	Key
	id      string
	private ed25519.PrivateKey
}

func (k ringKey) ended(now time.Time) bool { return !k.EndsAt.IsZero() && !now.Before(k.EndsAt) }

// NewKeys reads the keys, and makes the first one where there is none.
func NewKeys(ctx context.Context, o KeyOptions) (*Keys, error) {
	if o.Store == nil {
		return nil, errors.New("keys need a store")
	}
	if o.Age == 0 {
		o.Age = defaultKeyAge
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = defaultMaxTTL
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Age < publishLead || o.MaxTTL < 0 {
		return nil, fmt.Errorf("keys sign for at least %s, not %s", publishLead, o.Age)
	}
	k := &Keys{store: o.Store, age: o.Age, maxTTL: o.MaxTTL, now: o.Clock}
	if err := k.Refresh(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Refresh reads the keys anew, and replaces and deletes those whose time has come.
func (k *Keys) Refresh(ctx context.Context) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	return k.refresh(ctx)
}

// Watch refreshes every ten seconds until ctx ends, and tells of every refresh
// that fails; the keys that are known are good meanwhile.
func (k *Keys) Watch(ctx context.Context, failed func(error)) {
	t := time.NewTicker(refreshEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := k.Refresh(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

func (k *Keys) refresh(ctx context.Context) error {
	now := k.now().Truncate(time.Microsecond)
	k.looked = now
	keys, err := k.store.TokenKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the token keys: %w", err)
	}
	switch n := len(keys); {
	case n == 0:
		keys, err = k.add(ctx, Key{Serial: 1, SignsFrom: now, CreatedAt: now}, now)
	case !now.Before(keys[n-1].SignsFrom.Add(k.age)):
		keys, err = k.add(ctx, k.next(keys, now), now.Add(publishLead+k.maxTTL+2*leeway))
	}
	if err != nil {
		return err
	}
	var ring []ringKey
	ended := false
	for _, key := range keys {
		if len(key.Seed) != SeedLen {
			return fmt.Errorf("token key %d has %d bytes, not %d", key.Serial, len(key.Seed), SeedLen)
		}
		private := ed25519.NewKeyFromSeed(key.Seed)
		own := ringKey{Key: key, id: keyID(public(private)), private: private}
		if own.ended(now) {
			ended = true
			continue
		}
		ring = append(ring, own)
	}
	if len(ring) == 0 {
		return errors.New("every token key has ended")
	}
	k.ring.Store(&ring)
	if ended {
		if err := k.store.DeleteTokenKeys(ctx, now); err != nil {
			return fmt.Errorf("delete token keys that ended: %w", err)
		}
	}
	return nil
}

// next is the key that follows, to be published now.
func (k *Keys) next(keys []Key, now time.Time) Key {
	return Key{Serial: keys[len(keys)-1].Serial + 1, CreatedAt: now, SignsFrom: now.Add(publishLead)}
}

// add stores a key with a fresh seed, unless another node was faster, and
// returns what is stored then.
func (k *Keys) add(ctx context.Context, key Key, othersEnd time.Time) ([]Key, error) {
	key.Seed = NewSeed()
	if _, err := k.store.AddTokenKey(ctx, key, othersEnd); err != nil {
		return nil, fmt.Errorf("store a token key: %w", err)
	}
	keys, err := k.store.TokenKeys(ctx)
	if err == nil && len(keys) == 0 {
		err = errors.New("the key just stored is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("read the token keys: %w", err)
	}
	return keys, nil
}

// Rotate publishes a fresh key that signs a quarter of an hour later. Tokens
// stay good. Errors: ErrRotating, the store's.
func (k *Keys) Rotate(ctx context.Context) error {
	return k.replace(ctx, func(keys []Key, now time.Time) (Key, time.Time, error) {
		if newest := keys[len(keys)-1]; now.Before(newest.SignsFrom) {
			return Key{}, time.Time{}, fmt.Errorf("%w: at %s", ErrRotating, newest.SignsFrom.UTC().Format(time.RFC3339))
		}
		return k.next(keys, now), now.Add(publishLead + k.maxTTL + 2*leeway), nil
	})
}

// Drop takes all keys away, for when one may be known to others, and signs with
// a fresh one. Every token that was signed is worthless at once on this
// node, and on others within ten seconds.
func (k *Keys) Drop(ctx context.Context) error {
	return k.replace(ctx, func(keys []Key, now time.Time) (Key, time.Time, error) {
		key := k.next(keys, now)
		key.SignsFrom = now
		return key, now, nil
	})
}

// replace adds the key that choose makes, after whatever other nodes add at the
// same time.
func (k *Keys) replace(ctx context.Context, choose func(keys []Key, now time.Time) (Key, time.Time, error)) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	const attempts = 8
	for range attempts {
		keys, err := k.store.TokenKeys(ctx)
		if err != nil || len(keys) == 0 {
			return fmt.Errorf("read the token keys: %w", errors.Join(err, ctx.Err()))
		}
		key, othersEnd, err := choose(keys, k.now().Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		key.Seed = NewSeed()
		added, err := k.store.AddTokenKey(ctx, key, othersEnd)
		if err != nil {
			return fmt.Errorf("store a token key: %w", err)
		}
		if added {
			return k.refresh(ctx)
		}
	}
	return ErrRotating
}

// signing returns the key that signs now.
func (k *Keys) signing() ringKey {
	keys, now := *k.ring.Load(), k.now()
	for i := len(keys) - 1; i > 0; i-- {
		if !now.Before(keys[i].SignsFrom) {
			return keys[i]
		}
	}
	return keys[0] // also when this node's clock is behind that of the one which made it
}

// verifying returns the key of an id. A token of a key that this node has not
// heard of has it look at the store, once a second at most.
func (k *Keys) verifying(ctx context.Context, id string) (ed25519.PublicKey, bool) {
	if key, ok := k.find(id); ok || !isKeyID(id) {
		return key, ok
	}
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	if k.now().Sub(k.looked) >= refreshAtMost && k.refresh(ctx) != nil {
		return nil, false // Watch tells of it
	}
	return k.find(id)
}

func (k *Keys) find(id string) (ed25519.PublicKey, bool) {
	now := k.now()
	for _, key := range *k.ring.Load() {
		if key.id == id && !key.ended(now) {
			return public(key.private), true
		}
	}
	return nil, false
}

// KeyInfo is what everybody may know of a key.
type KeyInfo struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	SignsFrom time.Time `json:"signsFrom"`
	EndsAt    time.Time `json:"endsAt,omitzero"` // when it stops to verify
	Signs     bool      `json:"signs"`           // now
}

// List returns the keys that verify, the newest first.
func (k *Keys) List() []KeyInfo {
	now, signs := k.now(), k.signing().id
	keys := *k.ring.Load()
	list := make([]KeyInfo, 0, len(keys))
	for i := len(keys) - 1; i >= 0; i-- {
		if key := keys[i]; !key.ended(now) {
			list = append(list, KeyInfo{ID: key.id, CreatedAt: key.CreatedAt, SignsFrom: key.SignsFrom, EndsAt: key.EndsAt, Signs: key.id == signs})
		}
	}
	return list
}

// JWK is a public key as in RFC 8037.
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// JWKS returns the keys that verify as a JSON Web Key Set (RFC 7517).
func (k *Keys) JWKS() map[string][]JWK {
	now, list := k.now(), []JWK{}
	for _, key := range *k.ring.Load() {
		if !key.ended(now) {
			list = append(list, JWK{
				KeyType: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(public(key.private)),
				ID: key.id, Algorithm: "EdDSA", Use: "sig",
			})
		}
	}
	return map[string][]JWK{"keys": list}
}

// NewSeed returns a fresh random seed.
func NewSeed() []byte {
	seed := make([]byte, SeedLen)
	rand.Read(seed) // never fails since Go 1.24
	return seed
}

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(key[SeedLen:])
}

// keyID derives a key's id from the key, so that all nodes agree on it.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:keyIDBytes])
}

// isKeyID reports whether an id has the form of those that keyID makes.
func isKeyID(id string) bool {
	p, err := base64.RawURLEncoding.DecodeString(id)
	return err == nil && len(id) == keyIDLen && len(p) == keyIDBytes
}
