package attestation

import "errors"

// Errors of Open and of the methods of an Attestation. Whatever the error is,
// nothing was proved.
var (
	// ErrMalformed says that the envelope or what it holds cannot be read, or
	// could be read in two ways.
	ErrMalformed = errors.New("the signed report is malformed")
	// ErrPayloadType says that what was signed is no in-toto statement.
	ErrPayloadType = errors.New("the signed payload is no in-toto statement")
	// ErrPredicateType says that the statement is about something else than a verification.
	ErrPredicateType = errors.New("the statement is no verification report")
	// ErrTooNew says that the report has a form that only newer programs know.
	ErrTooNew = errors.New("the report is of a version that this program does not know")
	// ErrUnknownKey says that none of the keys given made the signature.
	ErrUnknownKey = errors.New("the report is signed by a key that is not among those given")
	// ErrSignature says that the signature is not that of the key it names.
	ErrSignature = errors.New("the signature of the report is not valid")
	// ErrKeyTime says that the report was made when its key was not in use.
	ErrKeyTime = errors.New("the report was made when its key was not in use")
	// ErrSubject says that the report is about other bytes.
	ErrSubject = errors.New("the report is not about these bytes")
	// ErrKey says that a key cannot be read.
	ErrKey = errors.New("not an Ed25519 key in PEM")
	// ErrKeyRetired says that the hub's key may sign nothing any more.
	ErrKeyRetired = errors.New("the signing key was replaced by another one")
	// ErrForeignKey says that the hub's key is one that it cannot replace.
	ErrForeignKey = errors.New("the signing key is given from outside")
)
