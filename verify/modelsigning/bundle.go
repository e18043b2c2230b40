package modelsigning

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"
	"unicode/utf8"
)

// Constants of the specification and of those that it builds on.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	// PredicateType is that of signatures of models.
	PredicateType = "https://model_signing/signature/v1.0"
)

// MaxBundle is how long a bundle may be, in bytes.
const MaxBundle = 64 << 20

// bundle is a Sigstore bundle, as far as the methods here use it.
type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	Envelope  envelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey *publicKey      `json:"publicKey,omitempty"`
	Chain     *chain          `json:"x509CertificateChain,omitempty"`
	Keyless   json.RawMessage `json:"certificate,omitempty"` // of Sigstore
	Log       []any           `json:"tlogEntries"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

type chain struct {
	Certificates []certificate `json:"certificates"`
}

type certificate struct {
	Raw []byte `json:"rawBytes"` // DER
}

type envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	Sig   []byte  `json:"sig"`
	KeyID *string `json:"keyid,omitempty"`
}

// statement is an in-toto statement with the predicate of the specification.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Manifest  `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// preAuthentication is what DSSE signs.
func preAuthentication(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// hashOf is the hash that goes with a curve. Errors: ErrUnsupported.
func hashOf(k *ecdsa.PublicKey) (crypto.Hash, error) {
	switch k.Curve {
	case elliptic.P256():
		return crypto.SHA256, nil
	case elliptic.P384():
		return crypto.SHA384, nil
	case elliptic.P521():
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("%w: a key that is on none of P-256, P-384 and P-521", ErrUnsupported)
}

// fingerprint is the hint by which people tell keys: SHA-256 of the PEM form.
func fingerprint(k *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return hex.EncodeToString(sum[:]), nil
}

// Sign signs a manifest and returns the bundle. name is what the model is
// called; certificates are the chain of the key, its own first, none for a
// signature that is checked with the public key.
func Sign(m *Manifest, name string, key *ecdsa.PrivateKey, certificates []*x509.Certificate) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	root, err := m.Root()
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(statement{
		Type: statementType, PredicateType: PredicateType, Predicate: *m,
		Subject: []subject{{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(root[:])}}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the statement: %w", err)
	}
	h, err := hashOf(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	sum := h.New()
	sum.Write(preAuthentication(payload))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b := bundle{MediaType: bundleType, Material: material{Log: []any{}}, Envelope: envelope{payload, payloadType, []signature{{Sig: sig}}}}
	if len(certificates) == 0 {
		hint, err := fingerprint(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		b.Material.PublicKey = &publicKey{hint}
	} else {
		if !key.PublicKey.Equal(certificates[0].PublicKey) {
			return nil, fmt.Errorf("%w: the first certificate is another key's", ErrSignature)
		}
		b.Material.Chain = &chain{}
		for _, c := range certificates {
			b.Material.Chain.Certificates = append(b.Material.Chain.Certificates, certificate{c.Raw})
		}
	}
	out, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the bundle: %w", err)
	}
	return append(out, '\n'), nil
}

// Trust is by whom a signature may be.
type Trust struct {
	Keys  []*ecdsa.PublicKey
	Roots []*x509.Certificate
	Now   time.Time // by which certificates must be valid; zero for the time at hand
}

// Signed is what a valid signature says.
type Signed struct {
	Manifest Manifest
	Name     string // of the model, for people only
	Method   string // "key" or "certificate"
	Signer   string // fingerprint of the key, or subject of the certificate
}

// Open checks a bundle and returns what was signed. Errors: ErrMalformed, ErrSignature, ErrUnsupported.
func Open(p []byte, t Trust) (*Signed, error) {
	if len(p) > MaxBundle {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxBundle)
	}
	var b bundle
	if err := json.Unmarshal(p, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case b.MediaType != bundleType:
		return nil, fmt.Errorf("%w: media type %.100q", ErrMalformed, b.MediaType)
	case len(b.Envelope.Payload) == 0:
		return nil, fmt.Errorf("%w: there is no envelope, or nothing in it", ErrMalformed)
	case b.Envelope.PayloadType != payloadType:
		return nil, fmt.Errorf("%w: payload of type %.100q", ErrMalformed, b.Envelope.PayloadType)
	case len(b.Envelope.Signatures) != 1:
		return nil, fmt.Errorf("%w: %d signatures, want one", ErrMalformed, len(b.Envelope.Signatures))
	case b.Material.Keyless != nil:
		return nil, fmt.Errorf("%w: it is keyless, by Sigstore", ErrUnsupported)
	}
	s := &Signed{}
	key, err := b.signer(s, t)
	if err != nil {
		return nil, err
	}
	if !valid(key, &b.Envelope) {
		return nil, fmt.Errorf("%w: it is not by the key", ErrSignature)
	}
	if s.Manifest, s.Name, err = readStatement(b.Envelope.Payload); err != nil {
		return nil, err
	}
	return s, nil
}

// readStatement reads what was signed.
func readStatement(payload []byte) (Manifest, string, error) {
	var st statement
	if err := json.Unmarshal(payload, &st); err != nil {
		return Manifest{}, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if st.Type != statementType || st.PredicateType != PredicateType {
		return Manifest{}, "", fmt.Errorf("%w: a statement of type %.100q about %.100q", ErrMalformed, st.Type, st.PredicateType)
	}
	if len(st.Subject) != 1 || st.Subject[0].Name == "" || !utf8.ValidString(st.Subject[0].Name) {
		return Manifest{}, "", fmt.Errorf("%w: it is not about one model", ErrMalformed)
	}
	if err := st.Predicate.check(); err != nil {
		return Manifest{}, "", err
	}
	root, err := st.Predicate.Root()
	if err != nil {
		return Manifest{}, "", err
	}
	if st.Subject[0].Digest["sha256"] != hex.EncodeToString(root[:]) {
		return Manifest{}, "", fmt.Errorf("%w: the digest of the whole is not that of the list", ErrMalformed)
	}
	return st.Predicate, st.Subject[0].Name, nil
}

// signer finds the trusted key that the bundle says it is by.
func (b *bundle) signer(s *Signed, t Trust) (*ecdsa.PublicKey, error) {
	if b.Material.Chain != nil {
		s.Method = "certificate"
		leaf, err := b.Material.Chain.verify(t)
		if err != nil {
			return nil, err
		}
		key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: a certificate of a key of type %T", ErrUnsupported, leaf.PublicKey)
		}
		s.Signer = leaf.Subject.String()
		return key, nil
	}
	if b.Material.PublicKey == nil {
		return nil, fmt.Errorf("%w: it does not say by which key it is", ErrMalformed)
	}
	s.Method = "key"
	for _, k := range t.Keys {
		// Programs make the hint in different ways, so that the signature alone decides.
		if valid(k, &b.Envelope) {
			var err error
			s.Signer, err = fingerprint(k)
			return k, err
		}
	}
	return nil, fmt.Errorf("%w: it is by none of the %d keys that are trusted", ErrSignature, len(t.Keys))
}

func valid(k *ecdsa.PublicKey, e *envelope) bool {
	h, err := hashOf(k)
	if err != nil {
		return false
	}
	sum := h.New()
	sum.Write(preAuthentication(e.Payload))
	return ecdsa.VerifyASN1(k, sum.Sum(nil), e.Signatures[0].Sig)
}

// maxChain bounds the certificates of a chain.
const maxChain = 10

// verify checks a chain up to one of the trusted roots and returns its first certificate.
func (c *chain) verify(t Trust) (*x509.Certificate, error) {
	if len(c.Certificates) == 0 || len(c.Certificates) > maxChain {
		return nil, fmt.Errorf("%w: a chain of %d certificates", ErrMalformed, len(c.Certificates))
	}
	list := make([]*x509.Certificate, len(c.Certificates))
	for i, x := range c.Certificates {
		var err error
		if list[i], err = x509.ParseCertificate(x.Raw); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range t.Roots {
		roots.AddCert(r)
	}
	for _, x := range list[1:] {
		between.AddCert(x)
	}
	_, err := list[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: t.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if list[0].KeyUsage != 0 && list[0].KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fmt.Errorf("%w: the certificate is not for signatures", ErrSignature)
	}
	return list[0], nil
}
