package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// SignIns are the browsers and programs that are signed in.
type SignIns interface {
	// Sessions lists the browsers of a user, the last seen first.
	Sessions(ctx context.Context, userID int64) ([]auth.Session, error)
	// DeleteSession ends one of a user's. Errors: auth.ErrUnknownToken.
	DeleteSession(ctx context.Context, userID, id int64) error
	// DeleteRefreshTokens ends all sign-ins of a user, of programs too.
	DeleteRefreshTokens(ctx context.Context, userID int64) error
}

const sessionsPath = "/settings/sessions"

// SignInForm is what the form to sign in with shows.
type SignInForm struct {
	Next    string // path to go on to
	Name    string // as typed
	Problem string // why an attempt failed, "" at first
	// Providers are where one can sign in instead.
	Providers []Provider
}

// Provider is a link to sign in elsewhere.
type Provider struct{ Title, URL string }

// signInPage is the form to sign in with.
type signInPage struct {
	page
	SignInForm
}

// SignInPage shows the form that is sent to POST /login.
func (h *Handler) SignInPage(c echo.Context, status int, f SignInForm) error {
	p := signInPage{h.newPage(c, "Sign in"), f}
	p.NoIndex, p.SignIn = true, ""
	return h.render(c, status, h.pages.signIn, p)
}

// sessionsPage lists one's browsers that are signed in.
type sessionsPage struct {
	page
	Sessions []sessionRow
}

type sessionRow struct {
	ID             int64
	Address, Agent string
	Created, Seen  moment
	Current        bool
}

// signedIn returns who is signed in, for pages about oneself.
func (h *Handler) signedIn(c echo.Context) (auth.Principal, error) {
	p := h.principal(c)
	_, err := auth.Allow(p, auth.Self, auth.Resource{})
	return p, err
}

func (h *Handler) sessionsPage(c echo.Context) error {
	who, err := h.signedIn(c)
	if err != nil {
		return err
	}
	list, err := h.signIns.Sessions(c.Request().Context(), who.UserID)
	if err != nil {
		return err
	}
	p := sessionsPage{page: h.newPage(c, "Where you are signed in")}
	p.NoIndex = true
	for _, s := range list {
		if h.now().Sub(s.SeenAt) > auth.SessionIdle || h.now().Sub(s.CreatedAt) > auth.SessionLife {
			continue
		}
		p.Sessions = append(p.Sessions, sessionRow{s.ID, s.Address, s.Agent, h.moment(s.CreatedAt), h.moment(s.SeenAt), s.ID == h.session(c)})
	}
	return h.render(c, http.StatusOK, h.pages.sessions, p)
}

// endSession is POST /settings/sessions/{id}/end, with "all" for all sign-ins,
// of programs too.
func (h *Handler) endSession(c echo.Context) error {
	who, err := h.signedIn(c)
	if err != nil {
		return err
	}
	if c.Param("id") == "all" {
		if err := h.signIns.DeleteRefreshTokens(c.Request().Context(), who.UserID); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return registry.Errorf(registry.CodeNameUnknown, "there is no such session")
	}
	// One that is gone already is what was wanted.
	if err := h.signIns.DeleteSession(c.Request().Context(), who.UserID, id); err != nil && !errors.Is(err, auth.ErrUnknownToken) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, sessionsPath)
}

// signInURL is the address of the form that leads back to where a request is.
func signInURL(c echo.Context) string {
	u := c.Request().URL
	next := u.Path
	if u.RawQuery != "" {
		next += "?" + u.RawQuery
	}
	if next == "/" || next == "/login" {
		return "/login"
	}
	return "/login?" + url.Values{"next": {next}}.Encode()
}

// DeviceForm is what the page shows on which a person answers a program that
// wants to be signed in.
type DeviceForm struct {
	Code    string // that the program shows, "" to ask for it
	Program string // as it called itself
	Address string // from which it asked
	Problem string // why the code is none
	Done    string // what was answered
}

type devicePage struct {
	page
	DeviceForm
}

// DevicePage shows the form that is sent to POST /auth/device/answer.
func (h *Handler) DevicePage(c echo.Context, status int, f DeviceForm) error {
	p := devicePage{h.newPage(c, "Sign a program in"), f}
	p.NoIndex = true
	return h.render(c, status, h.pages.device, p)
}
