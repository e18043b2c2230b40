package attestation

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// PayloadType is the type of what the envelopes hold.
const PayloadType = "application/vnd.in-toto+json"

// Limits of an envelope.
const (
	MaxEnvelope   = 16 << 20 // bytes
	maxSignatures = 16
)

// Seal writes the report's statement and signs it. The same report and key
// give the same bytes. MediaType is that of the manifest.
func Seal(ctx context.Context, private ed25519.PrivateKey, mediaType string, r *verify.Report) ([]byte, error) {
	text, err := encodeStatement(mediaType, r)
	if err != nil {
		return nil, err
	}
	return sealStatement(ctx, private, text)
}

// sealStatement signs a statement.
func sealStatement(ctx context.Context, private ed25519.PrivateKey, text []byte) ([]byte, error) {
	signer, err := dsse.NewEnvelopeSigner(signing{private})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	e, err := signer.SignPayload(ctx, PayloadType, text)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sealed, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the envelope: %w", err)
	}
	if len(sealed) > MaxEnvelope {
		return nil, fmt.Errorf("the envelope has %d bytes; at most %d are read back", len(sealed), MaxEnvelope)
	}
	return sealed, nil
}

// OpenStatement checks the signature of an envelope with the keys and returns
// the key and the text of the statement, of whatever predicate. Whether the
// key was in use at the time that the statement tells, the caller asks with
// Key.InUse. Errors: ErrMalformed, ErrPayloadType, ErrUnknownKey, ErrSignature.
func OpenStatement(ctx context.Context, envelope []byte, keys []Key) (Key, []byte, error) {
	e, err := parseEnvelope(envelope)
	if err != nil {
		return Key{}, nil, err
	}
	return authenticate(ctx, e, keys)
}

// Attestation is a report whose signature was found to be that of a key.
type Attestation struct {
	Key    Key            // that signed
	Report *verify.Report // final; its Subject is there
}

// Open reads an envelope and checks its signature with the keys. The report
// that it returns is whole, and its statement agrees with it. Errors:
// ErrMalformed, ErrPayloadType, ErrPredicateType, ErrTooNew, ErrUnknownKey,
// ErrSignature, ErrKeyTime.
func Open(ctx context.Context, envelope []byte, keys []Key) (*Attestation, error) {
	e, err := parseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	key, text, err := authenticate(ctx, e, keys)
	if err != nil {
		return nil, err
	}
	r, err := decodeStatement(text)
	if err != nil {
		return nil, err
	}
	if !key.InUse(r.FinishedAt) {
		return nil, fmt.Errorf("%w: key %s, report of %s", ErrKeyTime, key.ID, r.FinishedAt.UTC().Format("2006-01-02 15:04:05"))
	}
	return &Attestation{Key: key, Report: r}, nil
}

// parseEnvelope reads an envelope without believing it. Errors: ErrMalformed,
// ErrPayloadType.
func parseEnvelope(p []byte) (*dsse.Envelope, error) {
	if len(p) > MaxEnvelope {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxEnvelope)
	}
	if err := checkJSON(p); err != nil {
		return nil, err
	}
	e := new(dsse.Envelope)
	if err := json.Unmarshal(p, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case e.PayloadType != PayloadType:
		return nil, fmt.Errorf("%w: it is of type %.80q", ErrPayloadType, e.PayloadType)
	case e.Payload == "":
		return nil, fmt.Errorf("%w: it holds nothing", ErrMalformed)
	case len(e.Signatures) == 0:
		return nil, fmt.Errorf("%w: there is none", ErrSignature)
	case len(e.Signatures) > maxSignatures:
		return nil, fmt.Errorf("%w: it has more than %d signatures", ErrMalformed, maxSignatures)
	}
	return e, nil
}

// authenticate returns the key that signed and what it signed. Errors:
// ErrUnknownKey, ErrSignature.
func authenticate(ctx context.Context, e *dsse.Envelope, keys []Key) (Key, []byte, error) {
	byID := make(map[string]Key, len(keys))
	var verifiers []dsse.Verifier
	for _, k := range keys {
		named := func(s dsse.Signature) bool { return s.KeyID == "" || s.KeyID == k.ID }
		if _, twice := byID[k.ID]; !twice && slices.ContainsFunc(e.Signatures, named) {
			byID[k.ID] = k
			verifiers = append(verifiers, verifier{k})
		}
	}
	if len(verifiers) == 0 {
		return Key{}, nil, fmt.Errorf("%w: it names %.80q", ErrUnknownKey, e.Signatures[0].KeyID)
	}
	v, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return Key{}, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	accepted, text, err := v.VerifyAndDecode(ctx, e)
	if err != nil {
		return Key{}, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(accepted) == 0 {
		return Key{}, nil, fmt.Errorf("%w: no key was accepted", ErrSignature)
	}
	key, ok := byID[accepted[0].KeyID]
	if !ok {
		return Key{}, nil, fmt.Errorf("%w: an unknown key was accepted", ErrSignature)
	}
	return key, text, nil
}

// About checks that the report is about the manifest with that digest.
// Errors: ErrSubject.
func (a *Attestation) About(d registry.Digest) error {
	if d.IsZero() || *a.Report.Subject != d {
		return fmt.Errorf("%w: it is about manifest %s, not %s", ErrSubject, a.Report.Subject, d)
	}
	return nil
}

// AboutFiles checks that the report is about exactly these files. Errors:
// ErrSubject, with each difference in words.
func (a *Attestation) AboutFiles(files []verify.VerifiedFile) error {
	want := make(map[string]verify.VerifiedFile, len(a.Report.Files))
	for _, f := range a.Report.Files {
		want[f.Path] = f
	}
	var problems []error
	for _, f := range files {
		w, ok := want[f.Path]
		delete(want, f.Path)
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("%w: it says nothing of %s", ErrSubject, f.Path))
		case w.Digest != f.Digest || w.Size != f.Size:
			problems = append(problems, fmt.Errorf("%w: %s is %s, not %s", ErrSubject, f.Path, f.Digest, w.Digest))
		}
	}
	for _, f := range a.Report.Files {
		if _, missing := want[f.Path]; missing {
			problems = append(problems, fmt.Errorf("%w: %s is missing", ErrSubject, f.Path))
		}
	}
	if len(a.Report.Files) == 0 {
		problems = append(problems, fmt.Errorf("%w: it names no files", ErrSubject))
	}
	return errors.Join(problems...)
}
