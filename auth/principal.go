package auth

import (
	"slices"
	"time"
)

// Principal is who makes a request. The zero value is the anonymous principal.
type Principal struct {
	UserID int64  // 0 when anonymous
	Name   string // user name, "" when anonymous
	Admin  bool   // hub administrator
	// Roles are what the user was given. Those that a token brings are from
	// when it was issued, and only for the repositories of its scopes.
	Roles Roles

	// Limited tells that the credential carries scopes and permits nothing
	// outside them, however much the user may do.
	Limited bool
	Scopes  []Scope
	// Until is when the credential ends, zero when it does not by itself. What
	// is given for it ends then too.
	Until time.Time
}

// Anonymous reports whether nobody is signed in.
func (p Principal) Anonymous() bool { return p.UserID == 0 }

// Sight is what lists show to a principal besides what is public. The zero
// value adds nothing.
type Sight struct {
	All    bool  // everything
	UserID int64 // what is internal, and where this user has a role; 0 for nobody
	// Within are patterns of repositories outside of which it adds nothing; nil
	// for everywhere. See ParsePatterns.
	Within []string
}

// Sight returns what lists may show: what the principal may pull. A credential
// with scopes adds the repositories that they permit to pull, or all when it
// was given the catalogue.
func (p Principal) Sight() Sight {
	if p.Anonymous() {
		return Sight{}
	}
	s := Sight{All: p.Admin, UserID: p.UserID}
	if p.Limited && !p.surveys() {
		s.Within = []string{}
		for _, x := range p.Scopes {
			if x.Type == TypeRepository && x.permits(Pull) {
				s.Within = append(s.Within, x.Name)
			}
		}
	}
	return s
}

// surveys reports whether the scopes are about all repositories.
func (p Principal) surveys() bool {
	return slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == catalog.Type && s.Name == catalog.Name && slices.Contains(s.Actions, "*") ||
			s.Type == TypeRepository && s.Name == anyRepository && s.permits(Pull)
	})
}

// Scope is one resource with actions, as in the distribution token
// specification: repository:org/name:pull,push.
type Scope struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// permits reports whether the scope has an action.
func (s Scope) permits(a Action) bool {
	return slices.Contains(ofScopes, a) && (slices.Contains(s.Actions, string(a)) || slices.Contains(s.Actions, "*"))
}

// covers reports whether the credential is for an action on a repository.
func (p Principal) covers(a Action, repository string) bool {
	return !p.Limited || slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == TypeRepository && matches(s.Name, repository) && s.permits(a)
	})
}
