package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

// recoverPanic turns a handler's panic into an error, so that it is answered
// and logged like any other.
func recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(v)
			}
			exchangeOf(c.Request().Context()).stack = debug.Stack()
			err = fmt.Errorf("panic: %v", v)
		}()
		return next(c)
	}
}

// refusePath ends requests whose path was found unsafe.
func refusePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := exchangeOf(c.Request().Context()).pathErr; err != nil {
			return err
		}
		return next(c)
	}
}

// noteRoute keeps the pattern that matched, unless the handler knows better.
func noteRoute(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		exchangeOf(c.Request().Context()).route = c.Path()
		return next(c)
	}
}

// authenticate finds out who asks. Credentials that were sent and are wrong
// end the request: it never goes on as anonymous.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		x := exchangeOf(c.Request().Context())
		if x.area != areaProbe && x.area != areaToken {
			p, err := s.principal(c.Request(), x.area != areaV2)
			if err == nil && c.Request().Header.Get("Authorization") == "" && (x.area == areaPage || x.area == areaAPI || x.area == areaHF) {
				p, err = s.sessionPrincipal(c.Request(), x)
			}
			if err != nil {
				return err
			}
			x.principal = p
			x.actor.UserID, x.actor.Name = p.UserID, p.Name
		}
		return next(c)
	}
}

// principal returns the principal of the request's credentials, the anonymous
// one when there are none. Errors: auth.ErrCredentials, the user store's.
func (s *Server) principal(r *http.Request, basic bool) (auth.Principal, error) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 || len(fields) == 1 && fields[0] == "" {
		return auth.Principal{}, nil
	}
	if len(fields) > 1 {
		return auth.Principal{}, fmt.Errorf("%w: several Authorization headers", auth.ErrCredentials)
	}
	scheme, value, _ := strings.Cut(fields[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		value = strings.TrimSpace(value)
		if s.isAccessToken(value) {
			return auth.AuthenticateToken(r.Context(), s.tokens, value, s.now())
		}
		return s.verifier.Verify(r.Context(), value)
	case strings.EqualFold(scheme, "Basic") && basic:
		name, password, ok := r.BasicAuth()
		if !ok {
			return auth.Principal{}, fmt.Errorf("%w: unreadable Basic credentials", auth.ErrCredentials)
		}
		return s.signIn(r.Context(), name, password)
	}
	return auth.Principal{}, fmt.Errorf("%w: scheme not taken here", auth.ErrCredentials)
}

func (s *Server) isAccessToken(text string) bool { return s.tokens != nil && auth.IsAccessToken(text) }

// signIn returns the principal of a user name with a password, in whose
// place an access token may stand.
func (s *Server) signIn(ctx context.Context, name, password string) (auth.Principal, error) {
	p, _, err := s.credentials(ctx, name, password)
	return p, err
}

// credentials is signIn with the user whose password it was, nil when it was
// an access token.
func (s *Server) credentials(ctx context.Context, name, password string) (auth.Principal, *auth.User, error) {
	if s.isAccessToken(password) {
		p, err := auth.AuthenticateToken(ctx, s.tokens, password, s.now())
		return p, nil, err
	}
	try, err := s.throttle.signIn(name, exchangeOf(ctx).actor.Address, s.now())
	if err != nil {
		s.noteSignIn(ctx, name, auth.Principal{}, err)
		return auth.Principal{}, nil, err
	}
	u, err := auth.Authenticate(ctx, s.users, name, password)
	switch {
	case err == nil:
		try.succeeded(s.now())
	case !errors.Is(err, auth.ErrCredentials):
		try.undo(s.now())
	}
	s.noteSignIn(ctx, name, u.Principal(), err)
	if err != nil {
		return auth.Principal{}, nil, err
	}
	return u.Principal(), &u, nil
}

// secure sets the headers that are right for every answer; pages replace the
// policy by their own.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}

var saneID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
})

// requestID takes the id that a proxy gave the request, if it is harmless.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneID().MatchString(id) {
		return id
	}
	return uuid.NewString()
}

var saneHost = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)
})

// baseURL returns the URL under which the client reached the hub: the
// configured one, or what the request says. Proxy headers count only where
// the operator said that a proxy sets them.
func (s *Server) baseURL(r *http.Request) string {
	if s.publicURL != "" {
		return s.publicURL
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.trustProxy {
		if p := first(r.Header.Get("X-Forwarded-Proto")); p == "http" || p == "https" {
			scheme = p
		}
		if h := first(r.Header.Get("X-Forwarded-Host")); h != "" {
			host = h
		}
	}
	if !saneHost().MatchString(host) {
		host = "localhost"
	}
	return scheme + "://" + host
}

// remote returns the client's address for the log.
func (s *Server) remote(r *http.Request) string {
	if s.trustProxy {
		// The last entry is the proxy's own; those before it are claims.
		list := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		if ip := net.ParseIP(strings.TrimSpace(list[len(list)-1])); ip != nil {
			return ip.String()
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func first(list string) string {
	head, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(head)
}

// parsePublicURL checks the configured URL and strips the slash at its end.
func parsePublicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("parse public URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || !saneHost().MatchString(u.Host) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("public URL %q must be http(s)://host[:port]", u.Redacted())
	}
	return u.Scheme + "://" + u.Host, nil
}
