package server

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// How long tokens hold. A token to pull is asked for anew on a 401 by every
// client and is short. One to push must outlive the push: some clients (kit)
// send the token of the first request with every chunk and cannot renew it,
// and one chunk after the other of a 100 GB file takes most of an hour at
// 30 MB/s. A token is checked when a request begins, so a single streamed
// body may take longer.
const (
	defaultPullTTL = 5 * time.Minute
	defaultPushTTL = time.Hour
)

const maxTokenForm = 64 << 10 // bytes

// tokenAnswer is the answer of the distribution token specification; token
// and access_token are the same, for clients that know one of the names.
type tokenAnswer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`  // RFC 3339
	Scope       string `json:"scope,omitempty"`
}

// token is GET /token: Basic credentials or none in, a token out.
func (s *Server) token(c echo.Context) error {
	r := c.Request()
	var p auth.Principal
	if r.Header.Get("Authorization") != "" {
		if _, _, ok := r.BasicAuth(); !ok {
			return fmt.Errorf("%w: the token endpoint takes Basic", auth.ErrCredentials)
		}
		var err error
		if p, err = s.principal(r, true); err != nil {
			return err
		}
	}
	q := c.QueryParams()
	return s.issue(c, p, q["service"], q["scope"], false)
}

// tokenForm is POST /token, the OAuth 2.0 form of the same
// (distribution docs/content/spec/auth/oauth.md), with passwords only.
func (s *Server) tokenForm(c echo.Context) error {
	r := c.Request()
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/x-www-form-urlencoded" {
		return registry.Errorf(CodeRequestInvalid, "the token endpoint takes a form, application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxTokenForm)
	if err := r.ParseForm(); err != nil {
		return registry.Wrap(err, CodeRequestInvalid, "the form cannot be read")
	}
	form := r.PostForm
	if g := form.Get("grant_type"); g != "password" {
		return registry.Errorf(CodeRequestInvalid, "the only grant_type is password")
	}
	p, err := s.signIn(r.Context(), form.Get("username"), form.Get("password"))
	if err != nil {
		return err
	}
	return s.issue(c, p, form["service"], form["scope"], true)
}

// issue answers with a token for the part of the scopes that p may have. A
// grant smaller than what was asked for is no error.
func (s *Server) issue(c echo.Context, p auth.Principal, services, scopes []string, withScope bool) error {
	ctx := c.Request().Context()
	if len(services) > 1 || len(services) == 1 && services[0] != "" && services[0] != s.signer.Audience() {
		return registry.Errorf(CodeRequestInvalid, "tokens are issued for service %q only", s.signer.Audience())
	}
	asked, err := auth.ParseScopes(scopes)
	if err != nil {
		return err
	}
	granted, err := auth.Narrow(p, asked, func(repository string) (auth.Resource, error) {
		n, err := registry.ParseName(repository)
		if err != nil {
			return auth.Resource{}, nil // nobody may do anything with what cannot exist
		}
		return resource(ctx, s.repos, n)
	})
	if err != nil {
		return err
	}
	ttl := s.pullTTL
	for _, g := range granted {
		for _, a := range g.Actions {
			if a != string(auth.Pull) {
				ttl = s.pushTTL
			}
		}
	}
	t, err := s.signer.Sign(p, granted, ttl)
	if err != nil {
		return err
	}
	answer := tokenAnswer{
		Token: t.Text, AccessToken: t.Text, ExpiresIn: int(t.TTL / time.Second), IssuedAt: t.IssuedAt.UTC().Format(time.RFC3339),
	}
	if withScope {
		names := make([]string, len(granted))
		for i, g := range granted {
			names[i] = g.String()
		}
		answer.Scope = strings.Join(names, " ")
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	return c.JSON(http.StatusOK, answer)
}

// jwks is GET /.well-known/jwks.json: the keys that the tokens verify with.
func (s *Server) jwks(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(auth.JWKSMaxAge/time.Second)))
	return c.JSON(http.StatusOK, s.signer.JWKS())
}
