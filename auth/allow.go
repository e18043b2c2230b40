package auth

import (
	"errors"
	"slices"
)

// Errors of Allow.
var (
	// ErrUnauthenticated says that the caller should sign in, or send a token
	// that covers the request, and try again.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrDenied says that the caller is known and may not do this.
	ErrDenied = errors.New("access denied")
)

// Action is what somebody wants to do with a repository, an organization or
// the hub. The first three are named as in the distribution token
// specification; only they can be in the scopes of a credential.
type Action string

// The actions.
const (
	Pull     Action = "pull" // of an organization: see who belongs to it
	Push     Action = "push"
	Delete   Action = "delete"
	Maintain Action = "maintain" // change visibility, gates, terms and policies
	Manage   Action = "manage"   // see, give and take roles, teams and robots
	Operate  Action = "operate"  // change what concerns the hub as a whole
	Self     Action = "self"     // see, make and take away credentials of one's own
)

// needs is the least role in a repository or its organization that may do an
// action. Nobody is given a role in the hub as a whole.
var needs = map[Action]Role{Pull: Reader, Push: Writer, Delete: Maintainer, Maintain: Maintainer, Manage: Owner}

// ofOrganizations are the actions that there are on an organization.
var ofOrganizations = []Action{Pull, Maintain, Manage}

// ofScopes are the actions that a scope can permit.
var ofScopes = []Action{Pull, Push, Delete}

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

// Resource is what an action is aimed at: a repository, an organization when
// only that is set, or the hub as a whole when neither is.
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
	return g.action != "" && (g.action == a || a == Pull)
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

// Allow decides whether p may do a to r: the only place that does. What it
// does not know it denies. Errors: ErrUnauthenticated when other credentials
// could help, ErrDenied when the caller is known.
func Allow(p Principal, a Action, r Resource) (Grant, error) {
	if permitted(p, a, r) {
		return Grant{repository: r.Repository, action: a, principal: p}, nil
	}
	if p.Anonymous() || p.Limited && r.Repository != "" && slices.Contains(ofScopes, a) {
		return Grant{}, ErrUnauthenticated
	}
	return Grant{}, ErrDenied
}

// Administer is Allow for what concerns the hub as a whole. A credential with
// scopes may not, whoever it is: scopes are about the content of repositories.
func Administer(p Principal) error {
	_, err := Allow(p, Operate, Resource{})
	return err
}

// Oversee is Allow for an organization or a repository by its name, or for the
// hub when scope is "", which only administrators change. Nobody pulls by it.
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
	switch {
	case r.Repository != "":
		if a == Pull && r.Visibility == Public && !r.Missing {
			return true
		}
		if p.Anonymous() || !p.covers(a, r.Repository) {
			return false
		}
		return p.holds(a, r.Repository) || a == Pull && r.Visibility == Internal && !r.Missing
	case p.Anonymous() || p.Limited:
		return false
	case r.Organization != "":
		return slices.Contains(ofOrganizations, a) && p.holds(a, r.Organization)
	}
	return a == Operate && p.Admin || a == Self
}

// holds reports whether p is or was given what an action needs.
func (p Principal) holds(a Action, scope string) bool {
	need, known := needs[a]
	return known && (p.Admin || p.Roles.On(scope) >= need)
}
