package provenance

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Media types of documents.
const (
	MediaTypeDSSE   = "application/vnd.dsse.envelope.v1+json"
	MediaTypeInToto = "application/vnd.in-toto+json" // also the payload type of envelopes
	MediaTypeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	bundlePrefix    = "application/vnd.dev.sigstore.bundle"
)

// maxSignatures is how many signatures of one envelope are tried.
const maxSignatures = 16

// envelope is a DSSE envelope. Null stands for a key id that is not there.
type envelope struct {
	Payload     string `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []struct {
		KeyID *string `json:"keyid,omitempty"`
		Sig   string  `json:"sig"`
	} `json:"signatures"`
}

// rawBytes is an X509Certificate or the content of a PublicKey.
type rawBytes struct {
	RawBytes string `json:"rawBytes"`
}

// bundle is a sigstore bundle with an envelope.
type bundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial *struct {
		PublicKey *struct {
			Hint     string `json:"hint"`
			RawBytes string `json:"rawBytes"`
		} `json:"publicKey"`
		X509CertificateChain *struct {
			Certificates []rawBytes `json:"certificates"`
		} `json:"x509CertificateChain"`
		Certificate *rawBytes         `json:"certificate"`
		TlogEntries []json.RawMessage `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	Envelope         *envelope       `json:"dsseEnvelope"`
	MessageSignature json.RawMessage `json:"messageSignature"`
}

// Method is how a signature is to be verified.
type Method string

// The methods of sigstore bundles; an envelope alone is signed by a key.
const (
	MethodKey         Method = "key"
	MethodCertificate Method = "certificate"
	MethodKeyless     Method = "sigstore"
)

// Envelope is an in-toto statement with its signatures, not believed yet.
type Envelope struct {
	Payload []byte // the statement, JSON
	Method  Method
	Hint    string // that the bundle gives of the key

	message    []byte // what was signed
	signatures [][]byte
	chain      [][]byte // certificates in DER, the leaf first
	bundle     []byte   // of a keyless signature, as it was read
}

// ReadEnvelope reads a DSSE envelope, or a sigstore bundle with one.
// Errors: ErrMalformed, ErrUnsupported, ErrUnsigned.
func ReadEnvelope(p []byte) (*Envelope, error) {
	var kind struct {
		MediaType   string          `json:"mediaType"`
		PayloadType string          `json:"payloadType"`
		Type        string          `json:"_type"`
		Envelope    json.RawMessage `json:"dsseEnvelope"`
	}
	if err := Decode(p, &kind); err != nil {
		return nil, err
	}
	switch {
	case kind.PayloadType != "":
		var e envelope
		if err := json.Unmarshal(p, &e); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return e.open(MethodKey)
	case strings.HasPrefix(kind.MediaType, bundlePrefix) || kind.Envelope != nil:
		return ReadBundle(p)
	case kind.Type != "":
		return nil, ErrUnsigned
	}
	return nil, fmt.Errorf("%w: it is neither an envelope nor a bundle", ErrMalformed)
}

// ReadBundle reads a sigstore bundle v0.3 that holds an envelope.
// Errors: ErrMalformed, ErrUnsupported, ErrUnsigned.
func ReadBundle(p []byte) (*Envelope, error) {
	var b bundle
	if err := Decode(p, &b); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains([]string{MediaTypeBundle, "application/vnd.dev.sigstore.bundle+json;version=0.3"}, b.MediaType):
		return nil, fmt.Errorf("%w: a bundle of media type %.80q", ErrUnsupported, b.MediaType)
	case b.VerificationMaterial == nil:
		return nil, fmt.Errorf("%w: the bundle has no verification material", ErrMalformed)
	case b.Envelope == nil && len(b.MessageSignature) > 0:
		return nil, fmt.Errorf("%w: the bundle signs a digest and no statement", ErrUnsupported)
	case b.Envelope == nil:
		return nil, fmt.Errorf("%w: the bundle has no envelope", ErrMalformed)
	}
	m := b.VerificationMaterial
	set := 0
	for _, there := range []bool{m.PublicKey != nil, m.X509CertificateChain != nil, m.Certificate != nil} {
		if there {
			set++
		}
	}
	if set != 1 {
		return nil, fmt.Errorf("%w: the bundle has %d kinds of verification material, not one", ErrMalformed, set)
	}
	method := MethodKey
	switch {
	case m.X509CertificateChain != nil:
		method = MethodCertificate
	case m.Certificate != nil:
		method = MethodKeyless
		if len(m.TlogEntries) == 0 {
			return nil, fmt.Errorf("%w: a keyless signature without an entry of a transparency log", ErrMalformed)
		}
	case m.PublicKey.Hint == "" && m.PublicKey.RawBytes == "":
		return nil, fmt.Errorf("%w: the bundle does not name its key", ErrMalformed)
	}
	e, err := b.Envelope.open(method)
	if err != nil {
		return nil, err
	}
	if method == MethodKeyless {
		e.bundle = p
	}
	if m.PublicKey != nil {
		e.Hint = m.PublicKey.Hint
	}
	if method == MethodCertificate {
		if n := len(m.X509CertificateChain.Certificates); n == 0 || n > maxChain {
			return nil, fmt.Errorf("%w: it has %d certificates; 1 to %d are read", ErrMalformed, n, maxChain)
		}
		for _, c := range m.X509CertificateChain.Certificates {
			der, err := unbase64(c.RawBytes)
			if err != nil {
				return nil, err
			}
			e.chain = append(e.chain, der)
		}
		if _, _, err := parseChain(e.chain); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *envelope) open(m Method) (*Envelope, error) {
	if e.PayloadType != MediaTypeInToto {
		return nil, fmt.Errorf("%w: the envelope holds %.80q and no in-toto statement", ErrUnsupported, e.PayloadType)
	}
	if n := len(e.Signatures); n > maxSignatures {
		return nil, fmt.Errorf("%w: it has %d signatures; at most %d are read", ErrMalformed, n, maxSignatures)
	} else if n == 0 {
		return nil, ErrUnsigned
	}
	payload, err := unbase64(e.Payload)
	if err != nil {
		return nil, err
	}
	opened := &Envelope{Payload: payload, Method: m, message: PAE(e.PayloadType, payload)}
	for _, s := range e.Signatures {
		sig, err := unbase64(s.Sig)
		if err != nil {
			return nil, err
		}
		opened.signatures = append(opened.signatures, sig)
	}
	return opened, nil
}

// unbase64 reads what DSSE allows: the standard or the URL's alphabet.
func unbase64(s string) ([]byte, error) {
	p, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		p, err = base64.URLEncoding.Strict().DecodeString(s)
	}
	if err != nil || len(p) == 0 {
		return nil, fmt.Errorf("%w: a field is not base64, or empty", ErrMalformed)
	}
	return p, nil
}

// PAE is DSSE's pre-authentication encoding: what is signed.
func PAE(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	b.Write(payload)
	return b.Bytes()
}

// Verify returns who signed. Certificates must be valid at the time given, those
// of keyless signatures at the time that a trusted log or authority vouches for. Errors:
// ErrUnknownKey, ErrCertificate, ErrSignature, ErrKeyless, ErrSigstore, ErrIdentity, ErrMalformed.
func (e *Envelope) Verify(t Trust, at time.Time) (Signer, error) {
	switch e.Method {
	case MethodKey:
		return t.byKey(e.message, e.signatures)
	case MethodCertificate:
		return t.byChain(e.chain, at, func(leaf *x509.Certificate) bool {
			return slices.ContainsFunc(e.signatures, func(sig []byte) bool { return verify(leaf.PublicKey, e.message, sig) })
		})
	}
	if t.keyless == nil {
		return Signer{}, ErrKeyless
	}
	return t.keyless(e.bundle, e.Payload)
}
