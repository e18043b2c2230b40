package modelsigning

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/carat-hub/carat/provenance"
)

// SignatureFile is how a signature beside a model is called.
const SignatureFile = "model.sig"

// Signer is who signs: a key, and for the method "certificate" the chain of
// certificates in DER, that of the key first.
type Signer struct {
	Key   *ecdsa.PrivateKey // on P-256, P-384 or P-521
	Chain [][]byte          // nil for the method "key"
}

// ParsePrivateKey reads a PRIVATE KEY (PKCS #8) or EC PRIVATE KEY (SEC 1)
// block of PEM. Errors: provenance.ErrKey.
func ParsePrivateKey(p []byte) (*ecdsa.PrivateKey, error) {
	for rest := p; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: want a PRIVATE KEY of a curve", provenance.ErrKey)
		}
		var parsed any
		var err error
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case "EC PRIVATE KEY":
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			err = errors.New("another block")
		}
		k, ok := parsed.(*ecdsa.PrivateKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: want a PRIVATE KEY of a curve", provenance.ErrKey) // without bytes of the key
		}
		if _, err := provenance.NewKey(&k.PublicKey); err != nil {
			return nil, err
		}
		return k, nil
	}
}

// Hint is the fingerprint by which a bundle names its key: the hexadecimal
// SHA-256 of the key's SubjectPublicKeyInfo in PEM, as the reference
// implementation has it. Errors: provenance.ErrKey.
func Hint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("%w: %w", provenance.ErrKey, err)
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return hex.EncodeToString(sum[:]), nil
}

type outMaterial struct {
	PublicKey *outKey   `json:"publicKey,omitempty"`
	Chain     *outChain `json:"x509CertificateChain,omitempty"`
}

type outKey struct {
	Hint string `json:"hint"`
}

type outChain struct {
	Certificates []outCertificate `json:"certificates"`
}

type outCertificate struct {
	RawBytes []byte `json:"rawBytes"`
}

type outBundle struct {
	MediaType string      `json:"mediaType"`
	Material  outMaterial `json:"verificationMaterial"`
	Envelope  outEnvelope `json:"dsseEnvelope"`
}

type outEnvelope struct {
	Payload     string         `json:"payload"`
	PayloadType string         `json:"payloadType"`
	Signatures  []outSignature `json:"signatures"`
}

type outSignature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid"`
}

// Sign writes a sigstore bundle v0.3 with the manifest, as indented JSON.
// Errors: provenance.ErrKey when the certificate is not that of the key.
func Sign(m *Manifest, s Signer) ([]byte, error) {
	text, err := m.Statement()
	if err != nil {
		return nil, err
	}
	sig, err := ecdsa.SignASN1(rand.Reader, s.Key, provenance.Sum(&s.Key.PublicKey, provenance.PAE(provenance.MediaTypeInToto, text)))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b := outBundle{
		MediaType: provenance.MediaTypeBundle,
		Envelope: outEnvelope{
			Payload: base64.StdEncoding.EncodeToString(text), PayloadType: provenance.MediaTypeInToto,
			Signatures: []outSignature{{Sig: sig}},
		},
	}
	if len(s.Chain) == 0 {
		hint, err := Hint(&s.Key.PublicKey)
		if err != nil {
			return nil, err
		}
		b.Material.PublicKey = &outKey{hint}
	} else {
		leaf, err := x509.ParseCertificate(s.Chain[0])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", provenance.ErrKey, err)
		}
		if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&s.Key.PublicKey) {
			return nil, fmt.Errorf("%w: the first certificate is not that of the key", provenance.ErrKey)
		}
		b.Material.Chain = new(outChain)
		for _, der := range s.Chain {
			b.Material.Chain.Certificates = append(b.Material.Chain.Certificates, outCertificate{der})
		}
	}
	p, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the bundle: %w", err)
	}
	if len(p) > provenance.MaxDocument {
		return nil, fmt.Errorf("the signature has %d bytes; at most %d are read back", len(p), provenance.MaxDocument)
	}
	return append(p, '\n'), nil
}

// Signature is a bundle that was read and not believed yet.
type Signature struct {
	Manifest *Manifest
	Envelope *provenance.Envelope
}

// Read reads a bundle. Errors: ErrNotModelSigning, provenance.ErrMalformed,
// provenance.ErrUnsupported, provenance.ErrUnsigned.
func Read(bundle []byte) (*Signature, error) {
	e, err := provenance.ReadBundle(bytes.TrimSpace(bundle))
	if err != nil {
		return nil, err
	}
	s, err := provenance.ReadStatement(e.Payload)
	if err != nil {
		return nil, err
	}
	m, err := ReadManifest(s)
	if err != nil {
		return nil, err
	}
	return &Signature{m, e}, nil
}

// Verify returns who signed. The errors are those of provenance.Envelope.Verify.
func (s *Signature) Verify(t provenance.Trust, at time.Time) (provenance.Signer, error) {
	return s.Envelope.Verify(t, at)
}
