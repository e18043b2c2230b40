//go:build sigstore

package provenance

import (
	"bytes"
	"errors"
	"fmt"

	sigstore "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// newKeyless returns what verifies keyless signatures by a trusted root, without
// any network: the certificate leads to one of its authorities at the time that a
// log or a timestamp authority of it vouches for, and is for one of the
// identities. An entry of a log of signatures is asked for always, one of a log
// of certificates when the root names any. Errors: ErrTrust.
func newKeyless(trusted []byte, identities []identity) (keyless, error) {
	if len(trusted) > maxTrust {
		return nil, fmt.Errorf("%w: the trusted root has more than %d bytes", ErrTrust, maxTrust)
	}
	r, err := root.NewTrustedRootFromJSON(trusted)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	if len(r.FulcioCertificateAuthorities()) == 0 {
		return nil, fmt.Errorf("%w: the trusted root has no certificate authority", ErrTrust)
	}
	if len(r.RekorLogs()) == 0 { // ReadBundle takes no bundle without an entry of one
		return nil, fmt.Errorf("%w: the trusted root has no transparency log", ErrTrust)
	}
	options := []sigverify.VerifierOption{sigverify.WithoutStatementPredicate(), sigverify.WithTransparencyLog(1), sigverify.WithObserverTimestamps(1)}
	if len(r.CTLogs()) > 0 {
		options = append(options, sigverify.WithSignedCertificateTimestamps(1))
	}
	v, err := sigverify.NewVerifier(r, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	var believed []sigverify.PolicyOption
	for _, i := range identities {
		id, err := sigverify.NewShortCertificateIdentity(i.Issuer, "", i.Subject, i.whole())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTrust, err)
		}
		believed = append(believed, sigverify.WithCertificateIdentity(id))
	}
	// What the statement is about is compared by who reads it.
	policy := sigverify.NewPolicy(sigverify.WithoutArtifactUnsafe(), believed...)
	return func(bundle, payload []byte) (Signer, error) { return verifyKeyless(v, policy, bundle, payload) }, nil
}

func verifyKeyless(v *sigverify.Verifier, policy sigverify.PolicyBuilder, bundle, payload []byte) (Signer, error) {
	b := new(sigstore.Bundle)
	if err := b.UnmarshalJSON(bundle); err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e := b.GetDsseEnvelope(); e == nil || !bytes.Equal(e.GetPayload(), payload) {
		return Signer{}, fmt.Errorf("%w: its payload can be read in two ways", ErrMalformed)
	}
	result, err := v.Verify(b, policy)
	var other *sigverify.ErrNoMatchingCertificateIdentity
	switch {
	case errors.As(err, &other):
		return Signer{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	case err != nil:
		return Signer{}, fmt.Errorf("%w: %w", ErrSigstore, err)
	}
	content, err := b.VerificationContent()
	if err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	id, err := KeyID(content.Certificate().PublicKey)
	of := result.Signature.Certificate
	return Signer{KeyID: id, Certificate: of.SubjectAlternativeName + ", vouched for by " + of.Issuer}, err
}

// whole is the pattern for a whole subject, "" for none.
func (i identity) whole() string {
	if i.Pattern == "" {
		return ""
	}
	return "^(?:" + i.Pattern + ")$"
}
