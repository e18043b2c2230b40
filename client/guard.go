package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// ErrForeignCredentials is returned when a registry wants the user's
// password sent to a host that is not its own.
var ErrForeignCredentials = errors.New("refused to send credentials to another host")

// ErrDowngrade is returned when a registry that is spoken to over HTTPS
// leads to an address without it.
var ErrDowngrade = errors.New("refused to go on without encryption")

// guard is the last station of every request to one registry, below redirects
// and token requests. Whatever a server answered before: tokens go only to the
// registry's own origin, passwords only there and to its token service.
type guard struct {
	base       http.RoundTripper
	origin     url.URL
	tokenHosts []string
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.origin.Scheme == "https" && req.URL.Scheme != "https" {
		return nil, refuse(req, fmt.Errorf("%w: %s leads to http://%s", ErrDowngrade, g.origin.Host, req.URL.Host))
	}
	if sameOrigin(&g.origin, req.URL) {
		return g.base.RoundTrip(req)
	}
	if carriesSecret(req) && !g.trusts(req.URL) {
		return nil, refuse(req, fmt.Errorf("%w: %s asks for them to be sent to %s; allow that host explicitly if it is right", ErrForeignCredentials, g.origin.Host, req.URL.Host))
	}
	if scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " "); scheme != "" && !strings.EqualFold(scheme, "Basic") || req.Header.Get("Cookie") != "" {
		req = req.Clone(req.Context())
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return g.base.RoundTrip(req)
}

// refuse ends a request that was not sent; a RoundTripper must close the body.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		err = errors.Join(err, req.Body.Close())
	}
	return err
}

// carriesSecret reports whether a request holds a password or a refresh
// token: basic authentication, or the form of an OAuth2 token request.
func carriesSecret(req *http.Request) bool {
	scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Basic") ||
		strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// trusts reports whether the host of a token service belongs to the registry:
// the same host name, the same registrable domain (registry-1.docker.io and
// auth.docker.io), or a host that the user named.
func (g *guard) trusts(u *url.URL) bool {
	if slices.ContainsFunc(g.tokenHosts, func(h string) bool {
		named := url.URL{Scheme: u.Scheme, Host: h}
		return canonicalHost(&named) == canonicalHost(u)
	}) {
		return true
	}
	own, other := strings.ToLower(g.origin.Hostname()), strings.ToLower(u.Hostname())
	if own == other {
		return true
	}
	if _, err := netip.ParseAddr(own); err == nil {
		return false
	}
	if _, err := netip.ParseAddr(other); err == nil {
		return false
	}
	a, errA := publicsuffix.EffectiveTLDPlusOne(own)
	b, errB := publicsuffix.EffectiveTLDPlusOne(other)
	return errA == nil && errB == nil && a == b
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && canonicalHost(a) == canonicalHost(b)
}

func canonicalHost(u *url.URL) string {
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port(u))
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
