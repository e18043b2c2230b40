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
}

// Sight returns what lists may show: what the principal may pull. A credential
// that is limited to some repositories sees what is public, unless it was
// given the catalogue.
func (p Principal) Sight() Sight {
	switch {
	case p.Anonymous() || p.Limited && !p.surveys():
		return Sight{}
	case p.Admin:
		return Sight{All: true}
	}
	return Sight{UserID: p.UserID}
}

// surveys reports whether the scopes are about all repositories.
func (p Principal) surveys() bool {
	return slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == catalog.Type && s.Name == catalog.Name && slices.Contains(s.Actions, "*") ||
			s.Type == TypeRepository && s.Name == "*" && slices.Contains(s.Actions, string(Pull))
	})
}

// Scope is one resource with actions, as in the distribution token
// specification: repository:org/name:pull,push.
type Scope struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// covers reports whether the principal's scopes include an action on a
// repository. A principal without limits is covered by its roles alone.
func (p Principal) covers(a Action, repository string) bool {
	if !p.Limited {
		return true
	}
	if a == Maintain || a == Manage {
		return false // scopes are about content
	}
	return slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == TypeRepository && matches(s.Name, repository) &&
			(slices.Contains(s.Actions, string(a)) || slices.Contains(s.Actions, "*"))
	})
}
