package provenance

import "errors"

// Errors of reading what is signed. Whatever the error is, nothing was proved.
var (
	// ErrMalformed says that a document cannot be read, or could be read in two ways.
	ErrMalformed = errors.New("the signed document is malformed")
	// ErrUnsupported says that a document has a form that this program does not verify.
	ErrUnsupported = errors.New("signatures of this form are not verified here")
	// ErrKeyless says that a signature can only be verified with sigstore's
	// certificate authority and transparency log, and none are trusted.
	ErrKeyless = errors.New("it is a keyless signature of sigstore, which is not verified here")
	// ErrSigstore says that what is trusted of sigstore does not vouch for a
	// keyless signature.
	ErrSigstore = errors.New("its keyless signature is not valid by the trusted root")
	// ErrIdentity says that a valid keyless signature is by somebody else.
	ErrIdentity = errors.New("its signer is not one that is trusted")
	// ErrUnsigned says that there is no signature.
	ErrUnsigned = errors.New("it is not signed")
	// ErrUnknownKey says that no trusted key made the signature.
	ErrUnknownKey = errors.New("it is not signed by a trusted key")
	// ErrCertificate says that a certificate does not lead to a trusted one.
	ErrCertificate = errors.New("its certificate is not trusted")
	// ErrSignature says that the signature is not that of the certificate it comes with.
	ErrSignature = errors.New("the signature is not valid")
	// ErrExpired says that the signature says of itself that its time is over.
	ErrExpired = errors.New("the signature has expired")
	// ErrSubject says that the document is about something else.
	ErrSubject = errors.New("it is not about this version")
	// ErrKey says that a key or a certificate cannot be read.
	ErrKey = errors.New("not a public key or certificate in PEM")
	// ErrTrust says that a file about what is trusted cannot be read.
	ErrTrust = errors.New("not a trust file")
	// ErrNoSigstore says that this program cannot verify keyless signatures.
	ErrNoSigstore = errors.New("this program was built without sigstore: build it with \"make build TAGS=sigstore\"")
)

// Unproved reports whether an error says that a document may be right, but
// that nobody trusted vouches for it.
func Unproved(err error) bool {
	for _, e := range []error{ErrUnsupported, ErrKeyless, ErrSigstore, ErrIdentity, ErrUnsigned, ErrUnknownKey, ErrCertificate} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
