package server

import (
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

// SignInPage shows the form that is sent to POST /login.
type SignInPage func(c echo.Context, status int, f web.SignInForm) error

// The cookie of a session. With the prefix, browsers take it only from this
// host and over TLS, so that no neighbour can plant one.
const (
	sessionCookie       = "carat_session"
	secureSessionCookie = "__Host-" + sessionCookie
)

const maxSignInForm = 16 << 10 // bytes

// sessionPrincipal returns who is signed in with the request's cookie, nobody
// when there is none that holds. Errors: the store's.
func (s *Server) sessionPrincipal(r *http.Request, x *exchange) (auth.Principal, error) {
	if s.sessions == nil {
		return auth.Principal{}, nil
	}
	cookie, err := r.Cookie(sessionCookieName(x))
	if err != nil {
		return auth.Principal{}, nil
	}
	session, u, err := auth.AuthenticateSession(r.Context(), s.sessions, cookie.Value, s.now())
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return auth.Principal{}, nil // it is over; nobody typed it
	case err != nil:
		return auth.Principal{}, err
	}
	x.session = session.ID
	return u.Principal(), nil
}

func sessionCookieName(x *exchange) string {
	if strings.HasPrefix(x.base, "https:") {
		return secureSessionCookie
	}
	return sessionCookie
}

func setSessionCookie(c echo.Context, value string, seconds int) {
	x := exchangeOf(c.Request().Context())
	http.SetCookie(c.Response(), &http.Cookie{
		Name: sessionCookieName(x), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(x.base, "https:"),
	})
}

// refuseOtherSites ends requests that change something and that a browser sent
// for another site. What is no browser says nothing of sites.
func (s *Server) refuseOtherSites(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		switch exchangeOf(c.Request().Context()).area {
		case areaPage, areaAPI, areaHF:
			if err := s.crossOrigin.Check(c.Request()); err != nil {
				return registry.Wrap(err, registry.CodeDenied, "this request came from another site")
			}
		}
		return next(c)
	}
}

// signInForm is GET /login.
func (s *Server) signInForm(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	if !PrincipalOf(c.Request().Context()).Anonymous() {
		return c.Redirect(http.StatusSeeOther, next)
	}
	return s.signInPage(c, http.StatusOK, web.SignInForm{Next: next, Providers: s.providerLinks(next)})
}

// signInBrowser is POST /login: a name and a password in, a session out.
func (s *Server) signInBrowser(c echo.Context) error {
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxSignInForm)
	if err := r.ParseForm(); err != nil {
		return registry.Wrap(err, CodeRequestInvalid, "the form cannot be read")
	}
	f := web.SignInForm{Next: localPath(r.PostForm.Get("next")), Name: r.PostForm.Get("name")}
	f.Providers = s.providerLinks(f.Next)
	_, u, err := s.credentials(r.Context(), f.Name, r.PostForm.Get("password"))
	var often *limitError
	switch {
	case errors.Is(err, auth.ErrCredentials):
		f.Problem = "There is no account with that name and password."
		return s.signInPage(c, http.StatusUnauthorized, f)
	case errors.As(err, &often):
		f.Problem = often.Error() + "."
		return s.signInPage(c, http.StatusTooManyRequests, f)
	case err != nil:
		return err
	case u == nil:
		f.Problem = "An access token is for programs. Sign in with the password."
		return s.signInPage(c, http.StatusUnauthorized, f)
	}
	if err := s.beginSession(c, *u); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, f.Next)
}

// beginSession signs a browser in under a new secret, whatever it sent: what
// somebody planted in it before names no session.
func (s *Server) beginSession(c echo.Context, u auth.User) error {
	r, x := c.Request(), exchangeOf(c.Request().Context())
	if err := s.endSession(c); err != nil {
		return err
	}
	text, err := auth.NewSession(r.Context(), s.sessions, u, x.actor.Address, r.UserAgent(), s.now())
	if err != nil {
		return err
	}
	setSessionCookie(c, text, int(auth.SessionLife.Seconds()))
	return nil
}

// endSession ends the session of a request, when it has one.
func (s *Server) endSession(c echo.Context) error {
	x := exchangeOf(c.Request().Context())
	if x.session == 0 {
		return nil
	}
	err := s.sessions.DeleteSession(c.Request().Context(), x.principal.UserID, x.session)
	if errors.Is(err, auth.ErrUnknownToken) {
		return nil // somebody was faster
	}
	return err
}

// signOutBrowser is POST /logout.
func (s *Server) signOutBrowser(c echo.Context) error {
	x := exchangeOf(c.Request().Context())
	if x.session != 0 && s.audit != nil {
		s.audit.Note(audit.Event{Action: audit.SignOut, Actor: x.actor})
	}
	if err := s.endSession(c); err != nil {
		return err
	}
	setSessionCookie(c, "", -1)
	// What pages the browser kept is nobody's business any more.
	c.Response().Header().Set("Clear-Site-Data", `"cache"`)
	return c.Redirect(http.StatusSeeOther, "/")
}

// toSignIn reports whether a request is that of a person who would like a form
// rather than an error, and sends them there.
func (s *Server) toSignIn(c echo.Context, err error) bool {
	r, x := c.Request(), exchangeOf(c.Request().Context())
	if s.sessions == nil || x.area != areaPage || r.Method != http.MethodGet || r.Header.Get("Authorization") != "" ||
		!errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	next := r.URL.Path
	if r.URL.RawQuery != "" {
		next += "?" + r.URL.RawQuery
	}
	return c.Redirect(http.StatusSeeOther, "/login?"+url.Values{"next": {localPath(next)}}.Encode()) == nil
}

// localPath returns a path of this hub: p when it can be read as nothing
// else, or the home page.
func localPath(p string) string {
	const most = 2000
	other := strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' })
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || other || len(p) > most {
		return "/"
	}
	return p
}
