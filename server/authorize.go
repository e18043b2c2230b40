package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Repositories is what a decision needs to know of repositories.
type Repositories interface {
	// Visibility returns who may pull from a repository, and for one that
	// does not exist what it would get and false.
	Visibility(ctx context.Context, n registry.Name) (v auth.Visibility, exists bool, err error)
}

// Authorize decides whether the caller of the request whose context it is
// given may do a to repository n, and returns the proof for the registry.
//
// A caller who may not see private repositories gets the same answer for a
// missing one. Handlers return the error as it is. Errors: auth.ErrUnauthenticated
// with the scope for the challenge, auth.ErrDenied, and the store's.
func Authorize(ctx context.Context, repos Repositories, n registry.Name, a auth.Action) (auth.Grant, error) {
	r, err := resource(ctx, repos, n)
	if err != nil {
		return auth.Grant{}, err
	}
	g, err := auth.Allow(PrincipalOf(ctx), a, r)
	if err != nil {
		return auth.Grant{}, &accessError{scope: scopeFor(n, a), err: fmt.Errorf("%s %s: %w", a, n, err)}
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

// Authenticated returns an error unless the caller sent credentials of any
// kind, an anonymous caller's token included. It is for the base of /v2/,
// whose challenge makes clients ask for a token.
func Authenticated(ctx context.Context) error {
	if p := PrincipalOf(ctx); p.Anonymous() && !p.Limited {
		return &accessError{err: auth.ErrUnauthenticated}
	}
	return nil
}

// accessError is a refusal with the scope that a token would need.
type accessError struct {
	scope string
	err   error
}

func (e *accessError) Error() string { return e.err.Error() }
func (e *accessError) Unwrap() error { return e.err }

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
	if x.area != areaV2 && x.area != areaAPI {
		return fmt.Sprintf(`Basic realm="%s", charset="UTF-8"`, s.signer.Audience())
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Bearer realm="%s/token",service="%s"`, x.base, s.signer.Audience())
	scope := requestScope(r.Method, r.URL.Path)
	var refused *accessError
	if errors.As(err, &refused) {
		scope = refused.scope
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
