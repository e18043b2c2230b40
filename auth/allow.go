package auth

import "errors"

// Errors of Allow.
var (
	// ErrUnauthenticated says that the caller should sign in, or send a token
	// that covers the request, and try again.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrDenied says that the caller is known and may not do this.
	ErrDenied = errors.New("access denied")
)

// Action is what somebody wants to do with a repository. Its values are the
// action names of the distribution token specification.
type Action string

// The actions.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
)

// Visibility says who may pull from a repository without being told to.
type Visibility string

// The visibilities.
const (
	Public  Visibility = "public"
	Private Visibility = "private"
)

// Valid reports whether v is a known visibility.
func (v Visibility) Valid() bool { return v == Public || v == Private }

// Resource is what an action is aimed at.
type Resource struct {
	Repository string
	Visibility Visibility // of the repository, or the one it would get
	// Missing says that there is no such repository. Nobody may pull from it
	// whom a private one would refuse, so that the two look the same.
	Missing bool
}

// Grant is proof that Allow permitted an action on a repository. Only Allow
// and System make one that permits anything.
type Grant struct {
	repository string
	action     Action
	principal  Principal
}

// Repository is the one that the grant is for.
func (g Grant) Repository() string { return g.repository }

// Principal is who was allowed.
func (g Grant) Principal() Principal { return g.principal }

// Permits reports whether the grant is for the action. A grant to push or to
// delete permits pulling too: who may change content may see it.
func (g Grant) Permits(a Action) bool {
	return g.action == a || a == Pull && (g.action == Push || g.action == Delete)
}

// MayPush reports whether who has the grant may also push there, though the
// credential at hand may be limited to less: programs ask for a token that
// pulls when they pull, whoever runs them.
func (g Grant) MayPush() bool {
	p := g.principal
	p.Limited = false
	return g.action == Push || g.action == Delete || permitted(p, Push, Resource{Repository: g.repository})
}

// System is the grant under which the hub itself works, for background jobs.
func System(repository string, a Action) Grant {
	return Grant{repository: repository, action: a, principal: Principal{Name: "carat", Admin: true}}
}

// Allow decides whether p may do a to r. Errors: ErrUnauthenticated when
// other credentials could help, ErrDenied when the caller is known.
func Allow(p Principal, a Action, r Resource) (Grant, error) {
	if r.Repository == "" {
		return Grant{}, ErrDenied
	}
	if permitted(p, a, r) {
		return Grant{repository: r.Repository, action: a, principal: p}, nil
	}
	if p.Anonymous() || p.Limited {
		return Grant{}, ErrUnauthenticated
	}
	return Grant{}, ErrDenied
}

// Administer decides whether p may change what concerns the hub as a whole.
// A credential with scopes may not, whoever it is: scopes are about
// repositories. Errors: ErrUnauthenticated when other credentials could help,
// ErrDenied when the caller is known.
func Administer(p Principal) error {
	switch {
	case p.Anonymous() || p.Limited:
		return ErrUnauthenticated
	case !p.Admin:
		return ErrDenied
	}
	return nil
}

func permitted(p Principal, a Action, r Resource) bool {
	if a == Pull && r.Visibility == Public && !r.Missing {
		return true
	}
	return p.Admin && p.covers(a, r.Repository)
}
