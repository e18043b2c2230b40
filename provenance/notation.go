package provenance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Types of notation's signatures.
const (
	ArtifactNotation = "application/vnd.cncf.notary.signature"
	MediaTypeJWS     = "application/jose+json"
	MediaTypeCOSE    = "application/cose"
)

const (
	notationContent = "application/vnd.cncf.notary.payload.v1+json"
	notationScheme  = "notary.x509"
)

// maxNotation bounds an envelope, in bytes.
const maxNotation = 256 << 10

// Notation is a signature of notation in JWS form, not believed yet.
type Notation struct {
	Digest      string    // of the manifest that it is about
	SigningTime time.Time // as the signer says
	Expiry      time.Time // zero for none

	algorithm string
	message   []byte // what was signed
	sig       []byte
	chain     [][]byte
}

// notationCritical are the critical headers that are understood.
var notationCritical = []string{"io.cncf.notary.signingScheme", "io.cncf.notary.expiry"}

// ReadNotation reads an envelope. Errors: ErrMalformed, ErrUnsupported.
func ReadNotation(p []byte) (*Notation, error) {
	if len(p) > maxNotation {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, maxNotation)
	}
	var e struct {
		Payload   string `json:"payload"`
		Protected string `json:"protected"`
		Header    struct {
			X5C []string `json:"x5c"`
		} `json:"header"`
		Signature string `json:"signature"`
	}
	if err := Decode(p, &e); err != nil {
		return nil, err
	}
	var h struct {
		Algorithm string    `json:"alg"`
		Content   string    `json:"cty"`
		Critical  []string  `json:"crit"`
		Scheme    string    `json:"io.cncf.notary.signingScheme"`
		Time      time.Time `json:"io.cncf.notary.signingTime"`
		Expiry    time.Time `json:"io.cncf.notary.expiry"`
	}
	var payload struct {
		Target struct {
			Digest string `json:"digest"`
		} `json:"targetArtifact"`
	}
	parts := map[string][]byte{}
	for name, s := range map[string]string{"payload": e.Payload, "protected": e.Protected, "signature": e.Signature} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("%w: its %s is not base64url, or empty", ErrMalformed, name)
		}
		parts[name] = raw
	}
	if err := Decode(parts["protected"], &h); err != nil {
		return nil, err
	}
	if err := Decode(parts["payload"], &payload); err != nil {
		return nil, err
	}
	hex, ok := strings.CutPrefix(payload.Target.Digest, "sha256:")
	switch {
	case h.Content != notationContent:
		return nil, fmt.Errorf("%w: its content is %.80q", ErrUnsupported, h.Content)
	case h.Scheme != notationScheme:
		return nil, fmt.Errorf("%w: the signing scheme %.80q", ErrUnsupported, h.Scheme)
	case !slices.Contains(h.Critical, "io.cncf.notary.signingScheme"):
		return nil, fmt.Errorf("%w: its signing scheme is not marked critical", ErrMalformed)
	case !h.Expiry.IsZero() && !slices.Contains(h.Critical, "io.cncf.notary.expiry"):
		return nil, fmt.Errorf("%w: its expiry is not marked critical", ErrMalformed)
	case !ok || !isSHA256(hex):
		return nil, fmt.Errorf("%w: it is about no manifest", ErrMalformed)
	case len(e.Header.X5C) == 0 || len(e.Header.X5C) > maxChain:
		return nil, fmt.Errorf("%w: it has %d certificates; 1 to %d are read", ErrMalformed, len(e.Header.X5C), maxChain)
	}
	for _, c := range h.Critical {
		if !slices.Contains(notationCritical, c) {
			return nil, fmt.Errorf("%w: the critical header %.80q", ErrUnsupported, c)
		}
	}
	n := &Notation{
		Digest: payload.Target.Digest, SigningTime: h.Time, Expiry: h.Expiry, algorithm: h.Algorithm,
		message: []byte(e.Protected + "." + e.Payload), sig: parts["signature"],
	}
	for _, s := range e.Header.X5C {
		der, err := unbase64(s)
		if err != nil {
			return nil, err
		}
		n.chain = append(n.chain, der)
	}
	if _, _, err := parseChain(n.chain); err != nil {
		return nil, err
	}
	return n, nil
}

// Verify returns who signed. The certificates must be valid at the time
// given: notation's own time stamps are not read. Errors: ErrCertificate,
// ErrSignature, ErrUnsupported, ErrExpired.
func (n *Notation) Verify(t Trust, at time.Time) (Signer, error) {
	if !n.Expiry.IsZero() && at.After(n.Expiry) {
		return Signer{}, fmt.Errorf("%w: on %s", ErrExpired, n.Expiry.UTC().Format(time.DateOnly))
	}
	return t.byChain(n.chain, at, func(leaf *x509.Certificate) bool { return n.valid(leaf.PublicKey) })
}

// valid reports whether the signature is that of a key, by the one algorithm
// that the specification pairs with the key.
func (n *Notation) valid(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		size := (k.Params().BitSize + 7) / 8
		if n.algorithm != map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Params().BitSize] || len(n.sig) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(n.sig[:size]), new(big.Int).SetBytes(n.sig[size:])
		return ecdsa.Verify(k, Sum(k, n.message), r, s)
	case *rsa.PublicKey:
		hash, ok := map[int]crypto.Hash{2048: crypto.SHA256, 3072: crypto.SHA384, 4096: crypto.SHA512}[k.N.BitLen()]
		if !ok || n.algorithm != map[crypto.Hash]string{crypto.SHA256: "PS256", crypto.SHA384: "PS384", crypto.SHA512: "PS512"}[hash] {
			return false
		}
		h := hash.New()
		h.Write(n.message)
		return rsa.VerifyPSS(k, hash, h.Sum(nil), n.sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return false
}
