package provenance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Types of in-toto statements. The older one says the same in the same fields.
const (
	StatementType    = "https://in-toto.io/Statement/v1"
	statementTypeOld = "https://in-toto.io/Statement/v0.1"
)

// Limits of a statement.
const (
	maxSubjects = 8192
	maxText     = 2048 // bytes of a name, an address or a type
)

// Resource is an in-toto ResourceDescriptor, as far as it is used here.
type Resource struct {
	Name        string                     `json:"name,omitempty"`
	URI         string                     `json:"uri,omitempty"`
	Digest      map[string]string          `json:"digest,omitempty"` // hexadecimal, by algorithm
	Annotations map[string]json.RawMessage `json:"annotations,omitempty"`
}

// Annotation returns an annotation that is a text, "" when there is none.
func (r Resource) Annotation(key string) string {
	var s string
	if json.Unmarshal(r.Annotations[key], &s) != nil || len(s) > maxText {
		return ""
	}
	return s
}

// Statement is an in-toto statement.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Resource      `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

// ReadStatement reads the payload of an envelope. Errors: ErrMalformed.
func ReadStatement(p []byte) (*Statement, error) {
	s := new(Statement)
	if err := Decode(p, s); err != nil {
		return nil, err
	}
	switch {
	case s.Type != StatementType && s.Type != statementTypeOld:
		return nil, fmt.Errorf("%w: a statement of type %.80q", ErrMalformed, s.Type)
	case len(s.Subject) == 0 || len(s.Subject) > maxSubjects:
		return nil, fmt.Errorf("%w: it has %d subjects; 1 to %d are read", ErrMalformed, len(s.Subject), maxSubjects)
	case s.PredicateType == "" || len(s.PredicateType) > maxText:
		return nil, fmt.Errorf("%w: it has no predicate type, or one that is too long", ErrMalformed)
	}
	for _, r := range s.Subject {
		if err := r.check(); err != nil {
			return nil, err
		}
		if len(r.Digest) == 0 {
			return nil, fmt.Errorf("%w: a subject has no digest", ErrMalformed)
		}
	}
	return s, nil
}

func (r Resource) check() error {
	if len(r.Name) > maxText || len(r.URI) > maxText || len(r.Digest) > 16 || len(r.Annotations) > 64 {
		return fmt.Errorf("%w: a resource is too long", ErrMalformed)
	}
	for algorithm, value := range r.Digest {
		if len(algorithm) > 64 || len(value) > 256 {
			return fmt.Errorf("%w: a digest is too long", ErrMalformed)
		}
	}
	if s, ok := r.Digest["sha256"]; ok && !isSHA256(s) {
		return fmt.Errorf("%w: %.80q is no SHA-256", ErrMalformed, s)
	}
	return nil
}

func isSHA256(s string) bool {
	p, err := hex.DecodeString(s)
	return err == nil && len(p) == 32 && strings.ToLower(s) == s
}

// SHA256 returns the SHA-256 of the subjects, in their order.
func (s *Statement) SHA256() []string {
	var list []string
	for _, r := range s.Subject {
		if d, ok := r.Digest["sha256"]; ok {
			list = append(list, d)
		}
	}
	return list
}
