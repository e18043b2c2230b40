package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/web"
)

// Providers sign people in at OpenID providers.
type Providers interface {
	// Titles lists the providers.
	Titles() []auth.ProviderTitle
	// Begin begins a sign-in and returns the provider's address for it.
	Begin(ctx context.Context, name, redirect, next string) (string, auth.Flow, error)
	// Finish ends it and returns who it is.
	Finish(ctx context.Context, f auth.Flow, redirect, state, code string) (auth.User, error)
}

var _ Providers = (*auth.Providers)(nil)

// flowCookie keeps a sign-in that was begun. It is sent along from the
// provider's site, which Lax cookies are.
const flowCookie = "carat_sign_in"

const maxFlow = 4 << 10 // bytes

func flowCookieName(x *exchange) string {
	if strings.HasPrefix(x.base, "https:") {
		return "__Host-" + flowCookie
	}
	return flowCookie
}

// providerLinks are the providers as the form shows them.
func (s *Server) providerLinks(next string) (list []web.Provider) {
	if s.providers == nil {
		return nil
	}
	for _, t := range s.providers.Titles() {
		list = append(list, web.Provider{Title: t.Title, URL: "/auth/" + t.Name + "?" + url.Values{"next": {next}}.Encode()})
	}
	return list
}

// providerRedirect is where a provider sends the browser back to.
func providerRedirect(c echo.Context, name string) string {
	return BaseURL(c.Request().Context()) + "/auth/" + name + "/callback"
}

// beginProvider is GET /auth/{provider}: off to the provider.
func (s *Server) beginProvider(c echo.Context) error {
	r, x, name := c.Request(), exchangeOf(c.Request().Context()), c.Param("provider")
	address, flow, err := s.providers.Begin(r.Context(), name, providerRedirect(c, name), localPath(c.QueryParam("next")))
	if err != nil {
		return s.providerFailed(c, err)
	}
	text, err := json.Marshal(flow)
	if err != nil {
		return err
	}
	http.SetCookie(c.Response(), &http.Cookie{
		Name: flowCookieName(x), Value: base64.RawURLEncoding.EncodeToString(text), Path: "/", MaxAge: int(auth.FlowLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(x.base, "https:"),
	})
	return c.Redirect(http.StatusSeeOther, address)
}

// finishProvider is GET /auth/{provider}/callback: back from the provider.
func (s *Server) finishProvider(c echo.Context) error {
	r, x, name := c.Request(), exchangeOf(c.Request().Context()), c.Param("provider")
	var flow auth.Flow
	if cookie, err := r.Cookie(flowCookieName(x)); err == nil && len(cookie.Value) <= maxFlow {
		if text, err := base64.RawURLEncoding.DecodeString(cookie.Value); err == nil {
			_ = json.Unmarshal(text, &flow) // what cannot be read was not begun here
		}
	}
	// A sign-in is finished once, however it ends.
	http.SetCookie(c.Response(), &http.Cookie{
		Name: flowCookieName(x), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(x.base, "https:"),
	})
	if flow.Provider != name {
		flow = auth.Flow{Provider: name}
	}
	u, err := s.providers.Finish(r.Context(), flow, providerRedirect(c, name), c.QueryParam("state"), c.QueryParam("code"))
	if err != nil {
		return s.providerFailed(c, err)
	}
	if s.audit != nil {
		e := audit.Event{Action: audit.SignIn, Actor: x.actor, Detail: map[string]string{"provider": name}}
		e.UserID, e.Name = u.ID, u.Name
		s.audit.Note(e)
	}
	if err := s.beginSession(c, u); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, localPath(flow.Next))
}

// providerFailed shows the form again, with what went wrong.
func (s *Server) providerFailed(c echo.Context, err error) error {
	x := exchangeOf(c.Request().Context())
	f := web.SignInForm{Next: "/", Providers: s.providerLinks("/")}
	status := http.StatusUnauthorized
	switch {
	case errors.Is(err, auth.ErrIssuer):
		status, f.Problem = http.StatusBadGateway, "The provider cannot be reached at the moment."
	case errors.Is(err, auth.ErrSignIn):
		f.Problem = "The sign-in did not come to its end. Try it again."
	case errors.Is(err, auth.ErrCredentials):
		f.Problem = "The provider did not say who you are."
	default:
		return err
	}
	x.err = err // for the log
	return s.signInPage(c, status, f)
}

// wantProviders refuses the addresses of providers where there are none.
func (s *Server) wantProviders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.providers == nil || s.sessions == nil {
			return registry.Errorf(CodeNotFound, "there is nothing at this address")
		}
		return next(c)
	}
}
