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

// Action is what somebody wants to do with a repository or an organization.
// The first three are named as in the distribution token specification; only
// they can be in the scopes of a credential.
type Action string

// The actions.
const (
	Pull     Action = "pull"
	Push     Action = "push"
	Delete   Action = "delete"
	Maintain Action = "maintain" // change visibility, gates, terms and policies
	Manage   Action = "manage"   // see, give and take roles
)

// needs is the least role that may do an action.
var needs = map[Action]Role{Pull: Reader, Push: Writer, Delete: Maintainer, Maintain: Maintainer, Manage: Owner}

// Visibility says who may pull from a repository without being told to.
type Visibility string

// The visibilities.
const (
	Public   Visibility = "public"
	Internal Visibility = "internal" // whoever is signed in
	Private  Visibility = "private"  // whoever has a role there
)

// Valid reports whether v is a known visibility.
func (v Visibility) Valid() bool { return v == Public || v == Internal || v == Private }

// Resource is what an action is aimed at: a repository, or an organization
// when only that is set.
type Resource struct {
	Organization string
	Repository   string
	Visibility   Visibility // of the repository, or the one it would get
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

// Permits reports whether the grant is for the action. Every grant permits
// pulling too: who may change something may see it.
func (g Grant) Permits(a Action) bool {
	return g.action == a || a == Pull && g.action != ""
}

// MayPush reports whether who has the grant may also push there, though the
// credential at hand may be limited to less: programs ask for a token that
// pulls when they pull, whoever runs them.
func (g Grant) MayPush() bool {
	p := g.principal
	p.Limited = false
	return permitted(p, Push, Resource{Repository: g.repository})
}

// systemID is no user's, whose ids are positive.
const systemID = -1

// System is the grant under which the hub itself works, for background jobs.
func System(repository string, a Action) Grant {
	return Grant{repository: repository, action: a, principal: Principal{UserID: systemID, Name: "carat", Admin: true}}
}

// Allow decides whether p may do a to r. An organization is only maintained
// and managed. Errors: ErrUnauthenticated when other credentials could help,
// ErrDenied when the caller is known.
func Allow(p Principal, a Action, r Resource) (Grant, error) {
	if r.Repository == "" && (r.Organization == "" || a != Maintain && a != Manage) {
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

// Oversee decides whether p may do a to an organization or a repository by
// its name, or to the hub when scope is "", which only administrators may.
// Errors: those of Allow.
func Oversee(p Principal, a Action, scope string) error {
	if scope == "" {
		return Administer(p)
	}
	r := Resource{Organization: Organization(scope)}
	if r.Organization != scope {
		r.Repository = scope
	}
	_, err := Allow(p, a, r)
	return err
}

func permitted(p Principal, a Action, r Resource) bool {
	if a == Pull && r.Visibility == Public && !r.Missing {
		return true
	}
	scope := r.Repository
	if scope == "" {
		scope = r.Organization
	}
	need, known := needs[a]
	switch {
	case !known || p.Anonymous() || !p.covers(a, scope):
		return false
	case p.Admin || p.Roles.On(scope) >= need:
		return true
	}
	return a == Pull && r.Visibility == Internal && !r.Missing
}
