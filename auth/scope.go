package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits on the scopes of one token: with them the token stays below
// MaxTokenLen even when every name is as long as can be.
const (
	MaxScopes       = 16
	maxScopeType    = 32  // bytes
	maxScopeName    = 255 // bytes, the longest repository name
	maxScopeActions = 8
	maxScopeAction  = 16 // bytes
)

// TypeRepository is the scope type whose names are repositories.
const TypeRepository = "repository"

// catalog is the scope of the list of all repositories, as clients ask for it.
var catalog = Scope{Type: "registry", Name: "catalog", Actions: []string{"*"}}

// ErrScope says that a scope cannot be read or that there are too many.
var ErrScope = errors.New("invalid scope")

// ParseScopes parses the scope parameters of a token request: each holds one
// scope or several separated by spaces. Scopes of the same resource are
// merged. Errors: ErrScope.
func ParseScopes(params []string) ([]Scope, error) {
	var list []Scope
	for _, param := range params {
		if len(param) > MaxScopes*(maxScopeType+maxScopeName+maxScopeActions*(maxScopeAction+1)+2) {
			return nil, fmt.Errorf("%w: too long", ErrScope)
		}
		for _, text := range strings.Fields(param) {
			s, err := ParseScope(text)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(list, func(o Scope) bool { return o.Type == s.Type && o.Name == s.Name })
			if i < 0 {
				if len(list) == MaxScopes {
					return nil, fmt.Errorf("%w: more than %d resources", ErrScope, MaxScopes)
				}
				list = append(list, s)
				continue
			}
			for _, a := range s.Actions {
				if !slices.Contains(list[i].Actions, a) {
					list[i].Actions = append(list[i].Actions, a)
				}
			}
			if len(list[i].Actions) > maxScopeActions {
				return nil, fmt.Errorf("%w: more than %d actions", ErrScope, maxScopeActions)
			}
		}
	}
	return list, nil
}

// ParseScope parses type ":" name ":" action {"," action}. The name may hold
// colons (host:port), so it is what remains after cutting at both ends.
// Errors: ErrScope.
func ParseScope(text string) (Scope, error) {
	if len(text) > maxScopeType+maxScopeName+maxScopeActions*(maxScopeAction+1)+2 {
		return Scope{}, fmt.Errorf("%w: too long", ErrScope)
	}
	typ, rest, ok := strings.Cut(text, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return Scope{}, fmt.Errorf("%w: want type:name:actions", ErrScope)
	}
	s := Scope{Type: typ, Name: rest[:i]}
	switch {
	case !word(s.Type, maxScopeType):
		return Scope{}, fmt.Errorf("%w: bad type", ErrScope)
	case s.Name == "" || len(s.Name) > maxScopeName || strings.ContainsFunc(s.Name, notGraphic):
		return Scope{}, fmt.Errorf("%w: bad name", ErrScope)
	}
	for a := range strings.SplitSeq(rest[i+1:], ",") {
		if a != "*" && !word(a, maxScopeAction) {
			return Scope{}, fmt.Errorf("%w: bad action", ErrScope)
		}
		if !slices.Contains(s.Actions, a) {
			s.Actions = append(s.Actions, a)
		}
	}
	if len(s.Actions) > maxScopeActions {
		return Scope{}, fmt.Errorf("%w: more than %d actions", ErrScope, maxScopeActions)
	}
	return s, nil
}

// String returns the scope as ParseScope reads it.
func (s Scope) String() string {
	return s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",")
}

// word reports whether s is 1 to n lower-case letters, digits, - or _.
func word(s string, n int) bool {
	return s != "" && len(s) <= n && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == ',' }

// Narrow returns the part of the scopes asked for that p may have: what Allow
// permits on each repository, about which look tells; the zero Resource
// permits nothing. What p may not have is left out without a word, as the
// token specification wants it. Errors: those of look.
func Narrow(p Principal, asked []Scope, look func(repository string) (Resource, error)) ([]Scope, error) {
	var granted []Scope
	for _, s := range asked {
		switch {
		case s.Type == catalog.Type && s.Name == catalog.Name:
			if !p.Anonymous() && (!p.Limited || p.surveys()) {
				granted = append(granted, catalog)
			}
		case s.Type == TypeRepository:
			r, err := look(s.Name)
			if err != nil {
				return nil, err
			}
			g := Scope{Type: s.Type, Name: s.Name}
			for _, a := range ofScopes {
				if !slices.Contains(s.Actions, string(a)) && !slices.Contains(s.Actions, "*") {
					continue
				}
				if _, err := Allow(p, a, r); err == nil {
					g.Actions = append(g.Actions, string(a))
				}
			}
			if len(g.Actions) > 0 {
				granted = append(granted, g)
			}
		}
	}
	return granted, nil
}
