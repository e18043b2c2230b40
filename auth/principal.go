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

// SeesPrivate reports whether lists may name repositories that anonymous
// callers may not see.
func (p Principal) SeesPrivate() bool {
	return p.Admin && (!p.Limited || slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == catalog.Type && s.Name == catalog.Name && slices.Contains(s.Actions, "*")
	}))
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
	return slices.ContainsFunc(p.Scopes, func(s Scope) bool {
		return s.Type == TypeRepository && matches(s.Name, repository) &&
			(slices.Contains(s.Actions, string(a)) || slices.Contains(s.Actions, "*"))
	})
}
