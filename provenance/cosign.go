package provenance

import (
	"fmt"
	"strings"
)

// MediaTypeSimpleSigning is the type of the payload of a cosign signature,
// and AnnotationCosign that of the layer which has it with the signature.
const (
	MediaTypeSimpleSigning   = "application/vnd.dev.cosign.simplesigning.v1+json"
	AnnotationCosign         = "dev.cosignproject.cosign/signature"
	annotationCosignIdentity = "dev.sigstore.cosign/certificate"
)

// CosignTag is the tag under which cosign keeps the signatures of a manifest
// with a digest ("sha256:…").
func CosignTag(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".sig" }

// maxSimpleSigning bounds a payload, in bytes.
const maxSimpleSigning = 64 << 10

// Cosign is a signature of cosign, not believed yet.
type Cosign struct {
	Digest string // of the manifest that it is about, "sha256:…"

	payload []byte
	sig     []byte
	keyless bool
}

// ReadCosign reads a payload and the annotations of its layer.
// Errors: ErrMalformed, ErrUnsigned.
func ReadCosign(payload []byte, annotations map[string]string) (*Cosign, error) {
	if len(payload) > maxSimpleSigning {
		return nil, fmt.Errorf("%w: the payload has more than %d bytes", ErrMalformed, maxSimpleSigning)
	}
	var s struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := Decode(payload, &s); err != nil {
		return nil, err
	}
	hex, ok := strings.CutPrefix(s.Critical.Image.Digest, "sha256:")
	switch {
	case s.Critical.Type != "cosign container image signature":
		return nil, fmt.Errorf("%w: the payload is of type %.80q", ErrMalformed, s.Critical.Type)
	case !ok || !isSHA256(hex):
		return nil, fmt.Errorf("%w: it is about no manifest", ErrMalformed)
	case annotations[AnnotationCosign] == "":
		return nil, ErrUnsigned
	}
	sig, err := unbase64(annotations[AnnotationCosign])
	if err != nil {
		return nil, err
	}
	return &Cosign{
		Digest: s.Critical.Image.Digest, payload: payload, sig: sig,
		keyless: annotations[annotationCosignIdentity] != "",
	}, nil
}

// Verify returns who signed. Errors: ErrUnknownKey, ErrKeyless.
func (c *Cosign) Verify(t Trust) (Signer, error) {
	s, err := t.byKey(c.payload, [][]byte{c.sig})
	if err != nil && c.keyless {
		return Signer{}, ErrKeyless
	}
	return s, err
}
