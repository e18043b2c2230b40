package attestation

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// KeyStore keeps a hub's keys. At any time at most one is in use; the public
// halves of all that ever were are kept, so that old reports stay verifiable.
type KeyStore interface {
	// SigningKeys lists all keys, the newest first.
	SigningKeys(ctx context.Context) ([]Key, error)
	// SigningSeed returns the seed of the key in use. When there is none it
	// stores fresh as such first; all callers on all nodes get the same one.
	// It is nil when the key in use is one whose seed is kept elsewhere.
	SigningSeed(ctx context.Context, fresh []byte) ([]byte, error)
	// UseSigningKey ends the use of the present key, forgets its seed, and
	// puts another one into use. A nil seed means that it is kept elsewhere.
	// A key that is in use already stays so. Errors: ErrKeyRetired when the
	// key had been replaced before.
	UseSigningKey(ctx context.Context, public ed25519.PublicKey, seed []byte) error
}

// Signer signs reports with the key of a hub.
type Signer struct {
	store   KeyStore
	private ed25519.PrivateKey // nil: the one in the store
}

var (
	_ verify.Attester        = (*Signer)(nil)
	_ verify.StatementSigner = (*Signer)(nil)
)

// NewSigner returns a signer whose key the store keeps, and makes one when
// there is none. While the store's key is one that is kept elsewhere, it signs
// nothing until Rotate.
func NewSigner(ctx context.Context, s KeyStore) (*Signer, error) {
	signer := &Signer{store: s}
	if _, err := signer.key(ctx); err != nil && !errors.Is(err, ErrForeignKey) {
		return nil, err
	}
	return signer, nil
}

// NewSignerWith returns a signer with a key that is kept elsewhere. The store
// remembers its public half. Errors: ErrKeyRetired.
func NewSignerWith(ctx context.Context, s KeyStore, private ed25519.PrivateKey) (*Signer, error) {
	if err := s.UseSigningKey(ctx, public(private), nil); err != nil {
		return nil, err
	}
	return &Signer{store: s, private: private}, nil
}

// Keys lists all keys that ever signed, the newest first.
func (s *Signer) Keys(ctx context.Context) ([]Key, error) { return s.store.SigningKeys(ctx) }

// key returns the private key in use. Errors: ErrForeignKey when it is one
// that this node was not given, ErrKeyRetired when another one took the place
// of that which it was given.
func (s *Signer) key(ctx context.Context) (ed25519.PrivateKey, error) {
	if s.private == nil {
		seed, err := s.store.SigningSeed(ctx, freshSeed())
		if err != nil {
			return nil, err
		}
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("%w, and was not given to this node", ErrForeignKey)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	keys, err := s.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	id := KeyID(public(s.private))
	for _, k := range keys {
		if k.ID == id && k.NotAfter.IsZero() {
			return s.private, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrKeyRetired, id)
}

func freshSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	return seed
}

// Attest implements verify.Attester.
func (s *Signer) Attest(ctx context.Context, subject registry.Manifest, r *verify.Report) (verify.Attested, error) {
	private, err := s.key(ctx)
	if err != nil {
		return verify.Attested{}, fmt.Errorf("find the signing key: %w", err)
	}
	if r.Subject == nil || *r.Subject != subject.Digest {
		return verify.Attested{}, fmt.Errorf("%w: manifest %s", ErrSubject, subject.Digest)
	}
	envelope, err := Seal(ctx, private, subject.MediaType, r)
	if err != nil {
		return verify.Attested{}, err
	}
	return verify.Attested{Envelope: envelope, KeyID: KeyID(public(private)), PredicateType: PredicateType}, nil
}

// SignStatement implements verify.StatementSigner.
func (s *Signer) SignStatement(ctx context.Context, statement []byte) (envelope []byte, keyID string, err error) {
	private, err := s.key(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("find the signing key: %w", err)
	}
	if envelope, err = sealStatement(ctx, private, statement); err != nil {
		return nil, "", err
	}
	return envelope, KeyID(public(private)), nil
}

// Rotate puts a fresh key into use and returns it. Reports that the old one
// signed stay verifiable. Errors: ErrForeignKey.
func (s *Signer) Rotate(ctx context.Context) (Key, error) {
	if s.private != nil {
		return Key{}, fmt.Errorf("%w: restart the hub with another one", ErrForeignKey)
	}
	seed := freshSeed()
	p := public(ed25519.NewKeyFromSeed(seed))
	if err := s.store.UseSigningKey(ctx, p, seed); err != nil {
		return Key{}, err
	}
	keys, err := s.store.SigningKeys(ctx)
	if err != nil {
		return Key{}, err
	}
	for _, k := range keys {
		if k.ID == KeyID(p) {
			return k, nil
		}
	}
	return Key{}, fmt.Errorf("%w: %s", ErrKeyRetired, KeyID(p)) // by another node at once
}
