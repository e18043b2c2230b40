package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/carat-hub/carat/auth"
)

// Gate says what becomes of a pull of a version that has not passed its
// verification.
type Gate string

// The gates.
const (
	GateOff   Gate = "off"   // nothing
	GateWarn  Gate = "warn"  // it is served with a warning
	GateBlock Gate = "block" // it is served to those who may push there, to nobody else
)

// Valid reports whether g is a known gate.
func (g Gate) Valid() bool { return g == GateOff || g == GateWarn || g == GateBlock }

// StatePassed is the state of a verification that lets a version through
// every gate; see verify.StatePassed.
const StatePassed = "passed"

// Standing is what the verifications of content say of it: the newest
// conclusive one (passed, failed or unsupported) of the version, of those of a
// blob the best. A new check set, or a verifier that fails, takes away no pass
// before there is another verdict.
type Standing struct {
	Digest Digest // of the version's manifest; zero when nothing in the repository refers to a blob
	State  string // see verify.State
	// Free says that the content belongs to something that is no version, and
	// about which nothing is verified.
	Free bool
}

// passed reports whether the content is as good as verified.
func (s Standing) passed() bool { return s.Free || s.State == StatePassed }

// GateStore keeps the gates of organizations and what they decide by.
type GateStore interface {
	// Gates returns the gates of the organizations that have one of their own.
	Gates(ctx context.Context) (map[string]Gate, error)
	// SetGate gives an organization a gate of its own, or takes it away when g is "".
	SetGate(ctx context.Context, org string, g Gate) error
	// ManifestStanding returns the standing of a manifest; what is not a
	// version is free.
	ManifestStanding(ctx context.Context, n Name, d Digest) (Standing, error)
	// BlobStanding returns the best standing among the manifests of the
	// repository that refer to a blob, the zero one when none does.
	BlobStanding(ctx context.Context, n Name, d Digest) (Standing, error)
}

// decision is what a gate says to one pull.
type decision int

const (
	admitted decision = iota
	warned
	refused
)

// decide is the one decision about a pull. MayPush says that who pulls may
// also push there.
func decide(g Gate, s Standing, mayPush bool) decision {
	switch {
	case g == GateOff || s.passed():
		return admitted
	case g == GateBlock && !mayPush:
		return refused
	}
	return warned
}

// GateError says that a gate keeps something from being pulled, or that it
// warns of it.
type GateError struct {
	Name   Name
	Digest Digest // of the version; zero when the content belongs to none
	State  string // of its verification
}

// Error implements error; the client sees it.
func (e *GateError) Error() string {
	if e.Digest.IsZero() {
		return fmt.Sprintf("this content belongs to no version of %s that has passed verification", e.Name)
	}
	return fmt.Sprintf("version %s of %s has not passed verification (%s)", e.Digest, e.Name, e.State)
}

// gateAge is how old the known gates of organizations may be: so much later
// other nodes notice a change.
const gateAge = 5 * time.Second

// gates are the gates of organizations of one kind, as last read.
type gates struct {
	load     func(ctx context.Context) (map[string]Gate, error)
	store    func(ctx context.Context, org string, g Gate) error
	fallback Gate // of organizations without one of their own

	mu    sync.Mutex
	byOrg map[string]Gate
	read  time.Time // zero when they must be read
}

// of returns the gate of an organization, and whether it is its own.
func (s *gates) of(ctx context.Context, now time.Time, org string) (g Gate, own bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read.IsZero() || now.Sub(s.read) >= gateAge {
		byOrg, err := s.load(ctx)
		if err != nil {
			return "", false, err
		}
		s.byOrg, s.read = byOrg, now
	}
	if g, ok := s.byOrg[org]; ok {
		return g, true, nil
	}
	return s.fallback, false, nil
}

// set gives an organization a gate of its own, or takes it away when g is "".
// Its maintainers may. Other nodes follow within five seconds.
// Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeNameInvalid.
func (s *gates) set(ctx context.Context, p auth.Principal, org Name, g Gate) error {
	if err := checkOrg(org); err != nil {
		return err
	}
	if err := auth.Oversee(p, auth.Maintain, string(org)); err != nil {
		return err
	}
	if g != "" && !g.Valid() {
		return fmt.Errorf("unknown gate %q", g)
	}
	if err := s.store(ctx, string(org), g); err != nil {
		return err
	}
	s.mu.Lock()
	s.read = time.Time{}
	s.mu.Unlock()
	return nil
}

// orgOf returns the organization that a repository belongs to.
func orgOf(n Name) string {
	org, _, _ := strings.Cut(string(n), "/")
	return org
}

// passGate lets a pull through, or refuses it with a *GateError under
// CodeDenied; who has shown no credentials at all gets it under
// CodeUnauthorized, with auth.ErrUnauthenticated. With warn it also returns what there is to warn of. Look finds
// the standing; it is not called when nothing depends on it.
func (r *Registry) passGate(ctx context.Context, g auth.Grant, n Name, warn bool, look func(context.Context) (Standing, error)) (*GateError, error) {
	gate, _, err := r.gates.of(ctx, r.now(), orgOf(n))
	if err != nil {
		return nil, err
	}
	mayPush := g.MayPush()
	if gate == GateOff || !warn && (gate != GateBlock || mayPush) {
		return nil, nil
	}
	s, err := look(ctx)
	if err != nil {
		return nil, err
	}
	e := &GateError{Name: n, Digest: s.Digest, State: s.State}
	switch decide(gate, s, mayPush) {
	case refused:
		if p := g.Principal(); p.Anonymous() && !p.Limited {
			// Programs show no credentials before they are asked, and those of
			// somebody who may push there would help.
			return nil, Wrap(errors.Join(e, auth.ErrUnauthenticated), CodeUnauthorized, e.Error())
		}
		return nil, Wrap(e, CodeDenied, e.Error())
	case warned:
		return e, nil
	}
	return nil, nil
}

// passManifest is passGate for a manifest.
func (r *Registry) passManifest(ctx context.Context, g auth.Grant, n Name, m Manifest) (*GateError, error) {
	if !m.Subject.IsZero() || m.MediaType == MediaTypeOCIIndex || m.MediaType == MediaTypeDockerList {
		return nil, nil // no version, see recogniseVersion; the parts of an index are looked at when they are pulled
	}
	return r.passGate(ctx, g, n, true, func(ctx context.Context) (Standing, error) { return r.store.ManifestStanding(ctx, n, m.Digest) })
}

// passBlob is passGate for a blob.
func (r *Registry) passBlob(ctx context.Context, g auth.Grant, n Name, d Digest) error {
	_, err := r.passGate(ctx, g, n, false, func(ctx context.Context) (Standing, error) { return r.store.BlobStanding(ctx, n, d) })
	return err
}

// Admission is what the gate says of a version to those who may not push it.
type Admission struct {
	Warned  bool // it has not passed, and the gate minds
	Refused bool // they cannot pull it; it is warned of too
	Consent bool // they have to accept its terms first
}

// Admission tells what becomes of pulls of a version by others than those who
// may push it.
func (r *Registry) Admission(ctx context.Context, g auth.Grant, d Digest) (Admission, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return Admission{}, err
	}
	terms, err := r.consentGate(ctx, n)
	if err != nil {
		return Admission{}, err
	}
	a := Admission{Consent: terms != nil}
	gate, _, err := r.gates.of(ctx, r.now(), orgOf(n))
	if err != nil {
		return Admission{}, err
	}
	if gate == GateOff {
		return a, nil
	}
	s, err := r.store.ManifestStanding(ctx, n, d)
	if err != nil {
		return Admission{}, err
	}
	verdict := decide(gate, s, false)
	a.Warned, a.Refused = verdict != admitted, verdict == refused
	return a, nil
}

// OrgGate returns the gate of an organization, and whether it is its own and
// not the hub's.
func (r *Registry) OrgGate(ctx context.Context, org Name) (g Gate, own bool, err error) {
	if err := checkOrg(org); err != nil {
		return "", false, err
	}
	return r.gates.of(ctx, r.now(), string(org))
}

// SetOrgGate gives an organization a gate of its own, or the hub's when g is
// "". Its maintainers may. Other nodes follow within five seconds.
// Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeNameInvalid.
func (r *Registry) SetOrgGate(ctx context.Context, p auth.Principal, org Name, g Gate) error {
	return r.gates.set(ctx, p, org, g)
}

func checkOrg(org Name) error {
	if _, err := ParseName(string(org)); err != nil {
		return err
	}
	if strings.Contains(string(org), "/") {
		return Errorf(CodeNameInvalid, "an organization's name has one part")
	}
	return nil
}
