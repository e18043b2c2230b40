package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Repositories is what a decision needs to know of repositories.
type Repositories interface {
	// Visibility returns who may pull from a repository, and for one that
	// does not exist what it would get and false.
	Visibility(ctx context.Context, n registry.Name) (v auth.Visibility, exists bool, err error)
}

// Access tells handlers who asks and what they may do.
type Access struct{ repos Repositories }

// NewAccess returns an Access that looks repositories up in repos.
func NewAccess(repos Repositories) Access { return Access{repos} }

// Principal returns who sent the request.
func (a Access) Principal(c echo.Context) auth.Principal {
	return PrincipalOf(c.Request().Context())
}

// BaseURL returns where the client reached the hub: scheme://host[:port].
func (a Access) BaseURL(c echo.Context) string { return BaseURL(c.Request().Context()) }

// Session returns the browser's session that the request is of, 0 for none.
func (a Access) Session(c echo.Context) int64 { return exchangeOf(c.Request().Context()).session }

// Address returns the IP address from which the request came, as far as the
// proxy before the hub can be believed.
func (a Access) Address(c echo.Context) string {
	return exchangeOf(c.Request().Context()).actor.Address
}

// Authorize decides whether the caller may do an action on repository n, and
// returns the proof for the registry.
//
// A caller who may not see private repositories gets the same answer for a
// missing one. Handlers return the error as it is. Errors:
// auth.ErrUnauthenticated with the scope for the challenge, auth.ErrDenied,
// and those of Repositories.
func (a Access) Authorize(c echo.Context, n registry.Name, action auth.Action) (auth.Grant, error) {
	r, err := resource(c.Request().Context(), a.repos, n)
	if err != nil {
		return auth.Grant{}, err
	}
	return a.allow(c, action, r)
}

// Pull is Authorize for pulling from a repository about which the registry
// tells while it reads what is pulled.
func (a Access) Pull(c echo.Context, n registry.Name) registry.Decide {
	return func(v auth.Visibility, exists bool) (auth.Grant, error) {
		return a.allow(c, auth.Pull, auth.Resource{Repository: string(n), Visibility: v, Missing: !exists})
	}
}

func (a Access) allow(c echo.Context, action auth.Action, r auth.Resource) (auth.Grant, error) {
	g, err := auth.Allow(a.Principal(c), action, r)
	if err != nil {
		return auth.Grant{}, &accessError{name: registry.Name(r.Repository), action: action, err: err}
	}
	return g, nil
}

func resource(ctx context.Context, repos Repositories, n registry.Name) (auth.Resource, error) {
	v, exists, err := repos.Visibility(ctx, n)
	if err != nil {
		return auth.Resource{}, fmt.Errorf("look up visibility of %s: %w", n, err)
	}
	return auth.Resource{Repository: string(n), Visibility: v, Missing: !exists}, nil
}

// accessError is a refusal of an action on a repository.
type accessError struct {
	name   registry.Name
	action auth.Action
	err    error
}

func (e *accessError) Error() string { return fmt.Sprintf("%s %s: %v", e.action, e.name, e.err) }
func (e *accessError) Unwrap() error { return e.err }

// scope is the one that a token would need.
func (e *accessError) scope() string { return scopeFor(e.name, e.action) }

func scopeFor(n registry.Name, a auth.Action) string {
	actions := []string{string(a)}
	if a == auth.Push {
		actions = []string{string(auth.Pull), string(auth.Push)}
	}
	return auth.Scope{Type: auth.TypeRepository, Name: string(n), Actions: actions}.String()
}

// challenge returns the WWW-Authenticate header of a 401.
func (s *Server) challenge(r *http.Request, err error) string {
	x := exchangeOf(r.Context())
	if x.area != areaV2 && x.area != areaAPI && x.area != areaHF {
		return fmt.Sprintf(`Basic realm="%s", charset="UTF-8"`, s.signer.Audience())
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Bearer realm="%s/token",service="%s"`, x.base, s.signer.Audience())
	scope := requestScope(r.Method, r.URL.Path)
	var refused *accessError
	if errors.As(err, &refused) {
		scope = refused.scope()
	}
	if scope != "" {
		fmt.Fprintf(&b, `,scope="%s"`, scope)
	}
	switch {
	case errors.Is(err, auth.ErrCredentials):
		b.WriteString(`,error="invalid_token"`)
	case x.principal.Limited:
		b.WriteString(`,error="insufficient_scope"`)
	}
	return b.String()
}

// requestScope guesses the scope of a request below /v2/ that was refused
// before its handler ran, for clients that ask for what the challenge names.
func requestScope(method, path string) string {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return ""
	}
	for _, part := range []string{"/blobs/", "/manifests/", "/tags/", "/referrers/"} {
		i := strings.LastIndex(rest, part)
		if i < 0 {
			continue
		}
		n, err := registry.ParseName(rest[:i])
		if err != nil {
			continue
		}
		switch method {
		case http.MethodGet, http.MethodHead:
			return scopeFor(n, auth.Pull)
		case http.MethodDelete:
			return scopeFor(n, auth.Delete)
		}
		return scopeFor(n, auth.Push)
	}
	return ""
}
