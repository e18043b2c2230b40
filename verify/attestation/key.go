package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Limits of a file of public keys.
const (
	maxKeyFile = 1 << 20 // bytes
	maxKeys    = 1000
)

// Algorithm is the name of the one signature algorithm there is.
const Algorithm = "Ed25519"

// Key is a public key of a hub. Times that are zero set no bound.
type Key struct {
	ID        string // see KeyID
	Public    ed25519.PublicKey
	NotBefore time.Time // when it was first used
	NotAfter  time.Time // when it was replaced
}

// NewKey returns a public key without bounds in time.
func NewKey(p ed25519.PublicKey) Key { return Key{ID: KeyID(p), Public: p} }

// KeyID names a public key for ever: "sha256:" and the hexadecimal SHA-256 of
// its SubjectPublicKeyInfo in DER (RFC 8410), as other tools compute it too:
// openssl pkey -pubin -in key.pem -outform DER | sha256sum.
func KeyID(p ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(p)
	if err != nil { // only for types that are no keys
		panic(err)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// PEM returns the key as a PUBLIC KEY block.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil { // only for types that are no keys
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// ParseKeys reads public keys: one PUBLIC KEY block of PEM or several.
// Errors: ErrKey.
func ParseKeys(p []byte) ([]Key, error) {
	if len(p) > maxKeyFile {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrKey, maxKeyFile)
	}
	var keys []Key
	for rest := p; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%w: it holds a %.40q where a PUBLIC KEY should be", ErrKey, block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: it is a key of type %T", ErrKey, parsed)
		}
		if keys = append(keys, NewKey(public)); len(keys) > maxKeys {
			return nil, fmt.Errorf("%w: there are more than %d keys", ErrKey, maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is no PUBLIC KEY in it", ErrKey)
	}
	return keys, nil
}

// ParsePrivateKey reads a PRIVATE KEY block of PEM (PKCS #8, RFC 8410), as
// "openssl genpkey -algorithm ed25519" writes it. Errors: ErrKey.
func ParsePrivateKey(p []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(p)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: want one PRIVATE KEY", ErrKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, errors.New("its content is no PKCS #8")) // without bytes of the key
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is a key of type %T", ErrKey, parsed)
	}
	return key, nil
}

// keyDocument is a key as the hub's API shows it.
type keyDocument struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	PEM       string    `json:"pem"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) {
	return json.Marshal(keyDocument{k.ID, Algorithm, string(k.PEM()), k.NotBefore, k.NotAfter})
}

// UnmarshalJSON implements json.Unmarshaler. Errors: ErrKey.
func (k *Key) UnmarshalJSON(p []byte) error {
	var d keyDocument
	if err := json.Unmarshal(p, &d); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	keys, err := ParseKeys([]byte(d.PEM))
	if err != nil {
		return err
	}
	if len(keys) != 1 || d.ID != keys[0].ID || d.Algorithm != Algorithm {
		return fmt.Errorf("%w: its id or algorithm is another key's", ErrKey)
	}
	*k = Key{ID: d.ID, Public: keys[0].Public, NotBefore: d.NotBefore, NotAfter: d.NotAfter}
	return nil
}

// clockSkew is how far the clocks of a hub's nodes may be apart.
const clockSkew = 5 * time.Minute

// InUse reports whether the key was in use at a time.
func (k Key) InUse(t time.Time) bool {
	return (k.NotBefore.IsZero() || !t.Before(k.NotBefore.Add(-clockSkew))) &&
		(k.NotAfter.IsZero() || !t.After(k.NotAfter.Add(clockSkew)))
}

// verifier is a key as package dsse uses it.
type verifier struct{ key Key }

func (v verifier) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(v.key.Public, data, sig) {
		return ErrSignature
	}
	return nil
}

func (v verifier) KeyID() (string, error)   { return v.key.ID, nil }
func (v verifier) Public() crypto.PublicKey { return v.key.Public }

// signing is a private key as package dsse uses it.
type signing struct{ private ed25519.PrivateKey }

func (s signing) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.private, data), nil
}

func (s signing) KeyID() (string, error) { return KeyID(public(s.private)), nil }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
