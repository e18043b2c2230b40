package server

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/web"
)

// grantDevice is how a program asks for what a browser allowed (RFC 8628).
const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

const devicePath = "/auth/device"

// DevicePage shows the page on which a person answers a program.
type DevicePage func(c echo.Context, status int, d web.DeviceForm) error

// deviceAnswer is the answer to a program that wants to be signed in.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Address    string `json:"verification_uri"`
	WithCode   string `json:"verification_uri_complete"`
	ExpiresIn  int    `json:"expires_in"` // seconds
	Interval   int    `json:"interval"`   // seconds
}

// beginDevice is POST /auth/device: a program wants to be signed in.
func (s *Server) beginDevice(c echo.Context) error {
	r, x := c.Request(), exchangeOf(c.Request().Context())
	if wait := s.throttle.token.take(addressKey(x.actor.Address), s.now()); wait > 0 {
		return &limitError{"too many requests from this address", wait}
	}
	if err := readForm(c); err != nil {
		return err
	}
	secret, code, err := auth.NewDeviceSignIn(r.Context(), s.devices, r.PostForm.Get("client_id"), x.actor.Address, s.now())
	if err != nil {
		return err
	}
	address := x.base + devicePath
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, deviceAnswer{
		DeviceCode: secret, UserCode: code, Address: address, WithCode: address + "?" + url.Values{"code": {code}}.Encode(),
		ExpiresIn: int(auth.DeviceLife / time.Second), Interval: int(auth.DeviceInterval / time.Second),
	})
}

// readForm reads a form of limited size.
func readForm(c echo.Context) error {
	r := c.Request()
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/x-www-form-urlencoded" {
		return registry.Errorf(CodeRequestInvalid, "this takes a form, application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxSignInForm)
	if err := r.ParseForm(); err != nil {
		return registry.Wrap(err, CodeRequestInvalid, "the form cannot be read")
	}
	return nil
}

// deviceForm is GET /auth/device: a person who is signed in types the code, or
// sees what it allows.
func (s *Server) deviceForm(c echo.Context) error {
	if _, err := auth.Allow(PrincipalOf(c.Request().Context()), auth.Self, auth.Resource{}); err != nil {
		return err
	}
	typed := c.QueryParam("code")
	if typed == "" {
		return s.devicePage(c, http.StatusOK, web.DeviceForm{})
	}
	d, err := s.pendingDevice(c, typed)
	switch {
	case errors.Is(err, auth.ErrDeviceExpired):
		return s.devicePage(c, http.StatusNotFound, web.DeviceForm{Problem: "This code is not valid, or not any more. Begin again in the program."})
	case err != nil:
		return err
	}
	return s.devicePage(c, http.StatusOK, web.DeviceForm{Code: auth.ShownUserCode(d.UserCode), Program: d.ClientID, Address: d.Address})
}

// pendingDevice looks a code up that somebody typed, who may not guess often.
func (s *Server) pendingDevice(c echo.Context, typed string) (auth.DeviceSignIn, error) {
	if wait := s.throttle.codes.take(PrincipalOf(c.Request().Context()).Name, s.now()); wait > 0 {
		return auth.DeviceSignIn{}, &limitError{"too many codes", wait}
	}
	return auth.PendingDevice(c.Request().Context(), s.devices, typed, s.now())
}

// answerDevice is POST /auth/device/answer: the person allows or denies it.
func (s *Server) answerDevice(c echo.Context) error {
	p := PrincipalOf(c.Request().Context())
	if _, err := auth.Allow(p, auth.Self, auth.Resource{}); err != nil {
		return err
	}
	if err := readForm(c); err != nil {
		return err
	}
	form := c.Request().PostForm
	state, done := auth.DeviceDenied, "The program was refused."
	if form.Get("answer") == "allow" {
		state, done = auth.DeviceAllowed, "The program is signed in as "+p.Name+". You can close this page."
	}
	d, err := s.pendingDevice(c, form.Get("code"))
	if err == nil {
		err = s.devices.AnswerDeviceSignIn(c.Request().Context(), d.UserCode, p.UserID, state)
	}
	switch {
	case errors.Is(err, auth.ErrDeviceExpired), errors.Is(err, auth.ErrUnknownToken):
		return s.devicePage(c, http.StatusNotFound, web.DeviceForm{Problem: "This code is not valid any more. Begin again in the program."})
	case err != nil:
		return err
	}
	return s.devicePage(c, http.StatusOK, web.DeviceForm{Done: done})
}

// oauthErrors are the words of RFC 8628, section 3.5, for a program that asks
// how its sign-in stands.
var oauthErrors = map[error]string{
	auth.ErrDevicePending: "authorization_pending", auth.ErrDeviceTooFast: "slow_down",
	auth.ErrDeviceRefused: "access_denied", auth.ErrDeviceExpired: "expired_token",
}

// deviceToken is the part of POST /token for programs that wait for a browser:
// they get a refresh token, as with a password.
func (s *Server) deviceToken(c echo.Context, t tokenRequest) error {
	if s.devices == nil || s.refreshTokens == nil {
		return registry.Errorf(CodeRequestInvalid, "no program signs in by a browser here")
	}
	d, u, err := auth.FinishDevice(c.Request().Context(), s.devices, c.Request().PostForm.Get("device_code"), s.now())
	for is, word := range oauthErrors {
		if errors.Is(err, is) {
			c.Response().Header().Set("Cache-Control", "no-store")
			return c.JSON(http.StatusBadRequest, map[string]string{"error": word, "error_description": is.Error()})
		}
	}
	if err != nil {
		return err
	}
	t.principal, t.user, t.offline, t.clientID = u.Principal(), &u, true, d.ClientID
	return s.issue(c, t)
}
