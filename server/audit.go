package server

import (
	"context"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// maxNamed is how many bytes of a name that somebody claims are logged.
const maxNamed = 64

// noteSignIn notes that a password was right or wrong. Errors that say neither
// are no sign-in.
func (s *Server) noteSignIn(ctx context.Context, name string, p auth.Principal, err error) {
	var often *limitError
	if s.audit == nil || err != nil && !errors.Is(err, auth.ErrCredentials) && !errors.As(err, &often) {
		return
	}
	e := audit.Event{Action: audit.SignIn, Actor: exchangeOf(ctx).actor}
	e.UserID, e.Name = p.UserID, p.Name
	if err != nil {
		e.Action, e.UserID, e.Name = audit.SignInRefused, 0, name[:min(len(name), maxNamed)]
	}
	if often != nil {
		e.Detail = map[string]string{"reason": often.what}
	}
	s.audit.Note(e)
}

// noteRefusal notes that somebody was refused what they asked for: by a gate,
// by terms or policies, or because they may not. That somebody has to sign in
// first is not worth a note.
func (s *Server) noteRefusal(x *exchange, err error) {
	if s.audit == nil {
		return
	}
	e := audit.Event{Action: audit.PullRefused, Actor: x.actor}
	var (
		gate    *registry.GateError
		consent *registry.ConsentError
		lineage *registry.LineageError
		rules   *registry.PolicyError
		access  *accessError
	)
	about := func(n registry.Name, d registry.Digest, reason string) {
		e.Repository, e.Digest, e.Detail = string(n), d.String(), map[string]string{"reason": reason}
	}
	switch {
	case errors.As(err, &consent):
		about(consent.Name, consent.Digest, "terms")
	case errors.As(err, &rules):
		about(rules.Name, rules.Digest, "policy")
		e.Detail["action"] = string(rules.Action)
	case errors.As(err, &lineage):
		about(lineage.Name, lineage.Digest, "lineage")
	case errors.As(err, &gate):
		about(gate.Name, gate.Digest, "verification")
	case errors.Is(err, auth.ErrDenied):
		e.Action, e.Detail = audit.Denied, map[string]string{"reason": x.route}
		if errors.As(err, &access) {
			e.Detail["reason"] = access.scope()
		}
	default:
		return
	}
	s.audit.Note(e)
}
