package server

import (
	"context"
	"errors"
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

	RefreshToken string `json:"refresh_token,omitempty"`
}

// tokenRequest is what a token is asked for with, in either form.
type tokenRequest struct {
	principal auth.Principal
	user      *auth.User // who gave the password, nil for other credentials
	services  []string
	scopes    []string
	offline   bool   // a refresh token is wanted too
	clientID  string // the program, as it calls itself
	oauth     bool   // the answer says what was granted
}

// token is GET /token: Basic credentials, a signature as Ollama makes it, or
// none in, a token out.
func (s *Server) token(c echo.Context) error {
	r := c.Request()
	q := c.QueryParams()
	t := tokenRequest{services: q["service"], scopes: q["scope"], offline: q.Get("offline_token") == "true", clientID: q.Get("client_id")}
	switch fields := r.Header.Values("Authorization"); {
	case len(fields) == 0 || len(fields) == 1 && fields[0] == "":
	case len(fields) > 1:
		return fmt.Errorf("%w: several Authorization headers", auth.ErrCredentials)
	case s.sshKeys != nil && auth.IsSSHAuthorization(fields[0]):
		var err error
		if t.principal, err = s.signedBySSH(r, fields[0]); err != nil {
			return err
		}
	default:
		name, password, ok := r.BasicAuth()
		if !ok {
			return fmt.Errorf("%w: the token endpoint takes Basic", auth.ErrCredentials)
		}
		var err error
		if t.principal, t.user, err = s.credentials(r.Context(), name, password); err != nil {
			return err
		}
	}
	return s.issue(c, t)
}

// tokenForm is POST /token, the OAuth 2.0 form of the same
// (distribution docs/content/spec/auth/oauth.md).
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
	t := tokenRequest{
		services: form["service"], scopes: form["scope"], oauth: true,
		offline: form.Get("access_type") == "offline", clientID: form.Get("client_id"),
	}
	var err error
	switch form.Get("grant_type") {
	case grantExchange:
		return s.exchangeIdentity(c)
	case "password":
		t.principal, t.user, err = s.credentials(r.Context(), form.Get("username"), form.Get("password"))
	case grantDevice:
		return s.deviceToken(c, t)
	case "refresh_token":
		t.offline = false // it has one
		t.principal, err = s.refresh(r.Context(), form.Get("refresh_token"))
	default:
		err = registry.Errorf(CodeRequestInvalid, "grant_type is password, refresh_token, %s or %s", grantDevice, grantExchange)
	}
	if err != nil {
		return err
	}
	return s.issue(c, t)
}

// refresh returns the principal of a refresh token.
func (s *Server) refresh(ctx context.Context, text string) (auth.Principal, error) {
	if s.refreshTokens == nil {
		return auth.Principal{}, fmt.Errorf("%w: there are no refresh tokens", auth.ErrCredentials)
	}
	u, err := auth.AuthenticateRefresh(ctx, s.refreshTokens, text, s.now())
	if err != nil {
		return auth.Principal{}, err
	}
	return u.Principal(), nil
}

// signedBySSH returns the principal of a request that an SSH key has signed.
// What was signed is the URL that the client was told in a challenge.
func (s *Server) signedBySSH(r *http.Request, authorization string) (auth.Principal, error) {
	p, err := auth.AuthenticateSSH(r.Context(), s.sshKeys, auth.SignedRequest{
		Method: r.Method, URL: BaseURL(r.Context()) + r.URL.Path + "?" + r.URL.RawQuery, Authorization: authorization,
	}, s.now())
	if errors.Is(err, auth.ErrUnknownSSHKey) {
		return p, registry.Wrap(err, registry.CodeUnauthorized, "nobody has registered this SSH key; add it with: carat ssh-key add")
	}
	return p, err
}

// issue answers with a token for the part of the scopes that p may have. A
// grant smaller than what was asked for is no error.
func (s *Server) issue(c echo.Context, t tokenRequest) error {
	ctx := c.Request().Context()
	if len(t.services) > 1 || len(t.services) == 1 && t.services[0] != "" && t.services[0] != s.signer.Audience() {
		return registry.Errorf(CodeRequestInvalid, "tokens are issued for service %q only", s.signer.Audience())
	}
	asked, err := auth.ParseScopes(t.scopes)
	if err != nil {
		return err
	}
	granted, err := auth.Narrow(t.principal, asked, func(repository string) (auth.Resource, error) {
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
	made, err := s.signer.Sign(t.principal, granted, ttl)
	if err != nil {
		return err
	}
	answer := tokenAnswer{
		Token: made.Text, AccessToken: made.Text, ExpiresIn: int(made.TTL / time.Second), IssuedAt: made.IssuedAt.UTC().Format(time.RFC3339),
	}
	if t.offline && t.user != nil && s.refreshTokens != nil {
		// An access token in the place of the password is what its owner keeps.
		if answer.RefreshToken, err = auth.NewRefreshToken(ctx, s.refreshTokens, *t.user, t.clientID, s.now()); err != nil {
			return err
		}
	}
	if t.oauth {
		answer.Scope = scopeText(granted)
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	return c.JSON(http.StatusOK, answer)
}

// scopeText writes scopes as a token answer has them.
func scopeText(scopes []auth.Scope) string {
	names := make([]string, len(scopes))
	for i, sc := range scopes {
		names[i] = sc.String()
	}
	return strings.Join(names, " ")
}

// jwks is GET /.well-known/jwks.json: the keys that the tokens verify with.
func (s *Server) jwks(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(auth.JWKSMaxAge/time.Second)))
	return c.JSON(http.StatusOK, s.signer.JWKS())
}
