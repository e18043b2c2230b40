package attestation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// statementType is that of the in-toto attestation framework, Statement v1.
const statementType = "https://in-toto.io/Statement/v1"

// predicatePrefix begins the type of every verification report; its version follows.
const predicatePrefix = "https://github.com/carat-hub/carat/verification/v"

// PredicateType is the type of the reports that this program writes.
var PredicateType = predicatePrefix + strconv.Itoa(verify.ReportVersion)

// statement is an in-toto Statement v1 whose predicate is a report. Its first
// subject is the version's manifest, under no name: a digest means the same in
// every repository. The others are the files, each under its path.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []resource      `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// resource is an in-toto ResourceDescriptor.
type resource struct {
	Name      string            `json:"name,omitempty"`
	Digest    map[string]string `json:"digest"`
	MediaType string            `json:"mediaType,omitempty"`
}

// maxSubjects bounds the subjects of a statement: a manifest has at most 4096
// descriptors.
const maxSubjects = 4097

// digestSet is a digest in in-toto's form.
func digestSet(d registry.Digest) map[string]string {
	return map[string]string{string(d.Algorithm()): d.Hex()}
}

// digest returns the one digest of a subject. Errors: ErrMalformed.
func (r resource) digest() (registry.Digest, error) {
	if len(r.Digest) == 1 {
		for algorithm, hex := range r.Digest {
			if d, err := registry.ParseDigest(algorithm + ":" + hex); err == nil {
				return d, nil
			}
		}
	}
	return registry.Digest{}, fmt.Errorf("%w: a subject has not exactly one digest that is sha256 or sha512", ErrMalformed)
}

// encodeStatement writes the statement of a final report. The same report
// gives the same bytes.
func encodeStatement(mediaType string, r *verify.Report) ([]byte, error) {
	if r.Subject == nil || !final(r.State) {
		return nil, fmt.Errorf("only a final report about a manifest can be attested, not one in state %s", r.State)
	}
	predicate, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	s := statement{
		Type: statementType, PredicateType: PredicateType, Predicate: predicate,
		Subject: []resource{{Digest: digestSet(*r.Subject), MediaType: mediaType}},
	}
	for _, f := range r.Files {
		s.Subject = append(s.Subject, resource{Name: f.Path, Digest: digestSet(f.Digest)})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the statement: %w", err)
	}
	return text, nil
}

// decodeStatement reads a statement, and refuses one whose parts contradict
// each other. Errors: ErrMalformed, ErrPredicateType, ErrTooNew.
func decodeStatement(p []byte) (*verify.Report, error) {
	if err := checkJSON(p); err != nil {
		return nil, err
	}
	var s statement
	if err := json.Unmarshal(p, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if s.Type != statementType {
		return nil, fmt.Errorf("%w: it is of type %.80q", ErrPredicateType, s.Type)
	}
	if err := checkPredicateType(s.PredicateType); err != nil {
		return nil, err
	}
	r := new(verify.Report)
	if err := json.Unmarshal(s.Predicate, r); err != nil {
		return nil, fmt.Errorf("%w: the report: %w", ErrMalformed, err)
	}
	if err := checkReport(r); err != nil {
		return nil, err
	}
	if err := s.agrees(r); err != nil {
		return nil, err
	}
	return r, nil
}

// checkPredicateType accepts this program's version of the report and tells a
// newer one from what is none.
func checkPredicateType(t string) error {
	if t == PredicateType {
		return nil
	}
	rest, ok := strings.CutPrefix(t, predicatePrefix)
	if n, err := strconv.ParseUint(rest, 10, 31); ok && err == nil && n > verify.ReportVersion {
		return fmt.Errorf("%w: version %d, known is %d", ErrTooNew, n, verify.ReportVersion)
	}
	return fmt.Errorf("%w: it is of type %.80q", ErrPredicateType, t)
}

// final reports whether a report in that state says what came of a verification.
func final(s verify.State) bool {
	switch s {
	case verify.StatePassed, verify.StateFailed, verify.StateUnsupported, verify.StateError:
		return true
	case verify.StatePending, verify.StateRunning, verify.StateCancelled:
	}
	return false
}

func checkReport(r *verify.Report) error {
	switch {
	case r.Version > verify.ReportVersion:
		return fmt.Errorf("%w: version %d, known is %d", ErrTooNew, r.Version, verify.ReportVersion)
	case r.Version != verify.ReportVersion || r.CheckSet < 1:
		return fmt.Errorf("%w: a report of version %d and check set %d", ErrMalformed, r.Version, r.CheckSet)
	case !final(r.State):
		return fmt.Errorf("%w: a report in state %.40q", ErrMalformed, r.State)
	case r.State == verify.StatePassed && (len(r.Failed()) > 0 || len(r.Results) == 0):
		return fmt.Errorf("%w: it says passed, and its checks do not", ErrMalformed)
	case r.FinishedAt.IsZero():
		return fmt.Errorf("%w: it has no time", ErrMalformed)
	}
	return nil
}

// agrees compares the subjects with what the report says of them.
func (s *statement) agrees(r *verify.Report) error {
	if len(s.Subject) == 0 || len(s.Subject) > maxSubjects || len(s.Subject) != len(r.Files)+1 {
		return fmt.Errorf("%w: %d subjects, and %d files in the report", ErrMalformed, len(s.Subject), len(r.Files))
	}
	manifest, err := s.Subject[0].digest()
	if err != nil {
		return err
	}
	if s.Subject[0].Name != "" || r.Subject == nil || *r.Subject != manifest {
		return fmt.Errorf("%w: the first subject is not the manifest of the report", ErrMalformed)
	}
	paths := make([]string, len(r.Files))
	for i, f := range r.Files {
		d, err := s.Subject[i+1].digest()
		if err != nil {
			return err
		}
		if paths[i] = s.Subject[i+1].Name; paths[i] == "" || paths[i] != f.Path || d != f.Digest || f.Size < 0 {
			return fmt.Errorf("%w: subject %d is not the file of the report", ErrMalformed, i+1)
		}
	}
	slices.Sort(paths)
	if len(slices.Compact(paths)) != len(r.Files) {
		return fmt.Errorf("%w: two files have the same path", ErrMalformed)
	}
	return nil
}
