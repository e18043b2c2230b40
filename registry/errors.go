package registry

import (
	"errors"
	"fmt"
)

// Code is an error code of the distribution specification, or one of ours
// where it has none.
type Code string

// The codes of distribution-spec v1.1, section "Error codes".
const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	CodeBlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid       Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid     Code = "MANIFEST_INVALID"
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid         Code = "NAME_INVALID"
	CodeNameUnknown         Code = "NAME_UNKNOWN"
	CodeSizeInvalid         Code = "SIZE_INVALID"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeDenied              Code = "DENIED"
	CodeUnsupported         Code = "UNSUPPORTED"
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"
)

// Codes that the specification's list lacks.
const (
	CodeTagInvalid       Code = "TAG_INVALID"
	CodeManifestTooLarge Code = "MANIFEST_TOO_LARGE"
	CodeRangeInvalid     Code = "RANGE_INVALID"
	CodePageInvalid      Code = "PAGINATION_NUMBER_INVALID"
	CodeNoSpace          Code = "NO_SPACE"
	CodeUnavailable      Code = "UNAVAILABLE"
	CodeInternal         Code = "UNKNOWN"
	CodeTermsChanged     Code = "TERMS_CHANGED"  // the terms are not those that were shown
	CodePolicyInvalid    Code = "POLICY_INVALID" // a policy that cannot be used
	CodeTermsInvalid     Code = "TERMS_INVALID"  // an answer that terms ask for is missing, or a gate cannot be shown
)

// Error is what a caller of the registry did wrong or ran into. The client
// sees code, message and detail; the log also gets the cause.
type Error struct {
	Code    Code
	Message string
	Detail  any
	cause   error
}

// Errorf returns an error with a code and a message for the client. An error
// among the arguments under %w becomes the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Wrap returns an error whose cause only the log sees.
func Wrap(cause error, code Code, message string) *Error {
	return &Error{Code: code, Message: message, cause: cause}
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// WithDetail returns a copy with a detail for the client, which is rendered as JSON.
func (e *Error) WithDetail(detail any) *Error {
	c := *e
	c.Detail = detail
	return &c
}

// IsCode reports whether err is a registry error with the code.
func IsCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
