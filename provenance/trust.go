package provenance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// Limits of what is trusted and of certificate chains.
const (
	maxTrust = 1 << 20 // bytes of a file
	maxKeys  = 1000
	maxChain = 10 // certificates of one signature
	minRSA   = 2048
	maxRSA   = 8192
)

// Key is a public key: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA.
type Key struct {
	ID     string // see KeyID
	Public crypto.PublicKey
}

// NewKey returns a key that signatures can be verified with. Errors: ErrKey.
func NewKey(public crypto.PublicKey) (Key, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if hashOf(k) == 0 {
			return Key{}, fmt.Errorf("%w: keys on the curve %s are not supported", ErrKey, k.Params().Name)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return Key{}, fmt.Errorf("%w: an RSA key has %d bits, not %d to %d", ErrKey, n, minRSA, maxRSA)
		}
	default:
		return Key{}, fmt.Errorf("%w: it is a key of type %T", ErrKey, public)
	}
	id, err := KeyID(public)
	return Key{id, public}, err
}

// KeyID names a public key: "sha256:" and the hexadecimal SHA-256 of its
// SubjectPublicKeyInfo in DER. Errors: ErrKey.
func KeyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Trust is what signatures are believed on.
type Trust struct {
	Keys  []Key
	Roots []*x509.Certificate // that chains may end at

	keyless keyless // what believes keyless signatures; nil for nothing
}

// ParseTrust reads PUBLIC KEY and CERTIFICATE blocks of PEM. A certificate is
// trusted with all that it signed. Errors: ErrKey.
func ParseTrust(p []byte) (Trust, error) {
	var t Trust
	if len(p) > maxTrust {
		return t, fmt.Errorf("%w: it has more than %d bytes", ErrKey, maxTrust)
	}
	for rest := p; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "PUBLIC KEY":
			public, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return Trust{}, fmt.Errorf("%w: %w", ErrKey, err)
			}
			k, err := NewKey(public)
			if err != nil {
				return Trust{}, err
			}
			t.Keys = append(t.Keys, k)
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return Trust{}, fmt.Errorf("%w: %w", ErrKey, err)
			}
			t.Roots = append(t.Roots, c)
		default:
			return Trust{}, fmt.Errorf("%w: it holds a %.40q where a PUBLIC KEY or a CERTIFICATE should be", ErrKey, block.Type)
		}
		if len(t.Keys)+len(t.Roots) > maxKeys {
			return Trust{}, fmt.Errorf("%w: there are more than %d", ErrKey, maxKeys)
		}
	}
	if t.Empty() {
		return Trust{}, fmt.Errorf("%w: there is no PUBLIC KEY and no CERTIFICATE in it", ErrKey)
	}
	return t, nil
}

// Empty reports whether nothing is trusted.
func (t Trust) Empty() bool { return len(t.Keys) == 0 && len(t.Roots) == 0 && t.keyless == nil }

// With returns t with further keys.
func (t Trust) With(keys ...Key) Trust {
	t.Keys = slices.Concat(t.Keys, keys)
	return t
}

// Signer is who made a signature that was found valid.
type Signer struct {
	KeyID string `json:"keyId"`
	// Certificate is the subject of the certificate that the key was vouched
	// for by, "" for a key that is trusted itself.
	Certificate string `json:"certificate,omitempty"`
}

// byKey returns the trusted key that signed message. Errors: ErrUnknownKey.
func (t Trust) byKey(message []byte, signatures [][]byte) (Signer, error) {
	for _, sig := range signatures {
		for _, k := range t.Keys {
			if verify(k.Public, message, sig) {
				return Signer{KeyID: k.ID}, nil
			}
		}
	}
	return Signer{}, ErrUnknownKey
}

// chain checks that a chain of certificates in DER, the leaf first, leads to
// a trusted one at a time, for signing. Errors: ErrMalformed, ErrCertificate.
func (t Trust) chain(ders [][]byte, at time.Time) (*x509.Certificate, error) {
	leaf, others, err := parseChain(ders)
	if err != nil {
		return nil, err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range t.Roots {
		roots.AddCert(c)
	}
	for _, c := range others {
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	signs := leaf.KeyUsage == 0 || leaf.KeyUsage&x509.KeyUsageDigitalSignature != 0
	if !signs || len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil, fmt.Errorf("%w: it is not one for signing code", ErrCertificate)
	}
	return leaf, nil
}

func parseChain(ders [][]byte) (leaf *x509.Certificate, others []*x509.Certificate, err error) {
	if len(ders) == 0 || len(ders) > maxChain {
		return nil, nil, fmt.Errorf("%w: it has %d certificates; 1 to %d are read", ErrMalformed, len(ders), maxChain)
	}
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: certificate %d: %w", ErrMalformed, i, err)
		}
		if _, err := NewKey(c.PublicKey); err != nil {
			return nil, nil, fmt.Errorf("%w: certificate %d: %w", ErrMalformed, i, err)
		}
		if i == 0 {
			leaf = c
		} else {
			others = append(others, c)
		}
	}
	return leaf, others, nil
}

// byChain returns whose certificate signed message. Errors: ErrMalformed,
// ErrCertificate, ErrSignature.
func (t Trust) byChain(ders [][]byte, at time.Time, valid func(*x509.Certificate) bool) (Signer, error) {
	leaf, err := t.chain(ders, at)
	if err != nil {
		return Signer{}, err
	}
	if !valid(leaf) {
		return Signer{}, ErrSignature
	}
	id, err := KeyID(leaf.PublicKey)
	return Signer{KeyID: id, Certificate: leaf.Subject.String()}, err
}

// hashOf is the hash that goes with a curve, as in sigstore's registry of
// algorithms; 0 for curves that are not supported.
func hashOf(k *ecdsa.PublicKey) crypto.Hash {
	switch k.Params().BitSize {
	case 256:
		return crypto.SHA256
	case 384:
		return crypto.SHA384
	case 521:
		return crypto.SHA512
	}
	return 0
}

// Sum hashes a message as signatures with a key on that curve do.
func Sum(k *ecdsa.PublicKey, message []byte) []byte {
	h := hashOf(k).New()
	h.Write(message)
	return h.Sum(nil)
}

// verify reports whether a signature in ASN.1, of Ed25519, or of RSA with
// PKCS #1 v1.5 and SHA-256 is that of a key.
func verify(public crypto.PublicKey, message, sig []byte) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return hashOf(k) != 0 && ecdsa.VerifyASN1(k, Sum(k, message), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, sig)
	case *rsa.PublicKey:
		sum := sha256.Sum256(message)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}

// ParseCertificates reads CERTIFICATE blocks of PEM, in their order, as DER.
// Errors: ErrKey.
func ParseCertificates(p []byte) ([][]byte, error) {
	var ders [][]byte
	for rest := p; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: it holds something that is no CERTIFICATE", ErrKey)
		}
		if ders = append(ders, block.Bytes); len(ders) > maxChain {
			return nil, fmt.Errorf("%w: there are more than %d certificates", ErrKey, maxChain)
		}
	}
	if len(ders) == 0 {
		return nil, fmt.Errorf("%w: there is no CERTIFICATE in it", ErrKey)
	}
	return ders, nil
}
