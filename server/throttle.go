package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// Limits are how often the edge lets somebody try. Content is never limited:
// who may pull may pull as fast as they can, and so may who pushes.
type Limits struct {
	// SignInFailures is how many wrong passwords in a row an account and an
	// address are forgiven, of an address five times as many; one more every ten
	// seconds. 20 when zero; below zero there is no limit.
	SignInFailures int
	// Requests is how many requests a second of the token endpoint and the API an
	// address may make, and a user of the API, ten seconds' worth at once. 100
	// when zero; below zero there is no limit.
	Requests int
}

const (
	forgiveEvery = 10 * time.Second
	// addressShare is how many accounts' wrong passwords an address is forgiven.
	addressShare = 5
	// maxBuckets is how many keys are remembered at a time.
	maxBuckets = 100_000
	// friendly is how long an address is known from which an account signed in.
	friendly = 30 * 24 * time.Hour
)

// limitError says that somebody asks too often.
type limitError struct {
	what string
	wait time.Duration
}

func (e *limitError) Error() string {
	return fmt.Sprintf("%s; try again in %d seconds", e.what, e.seconds())
}

// seconds is the wait for Retry-After, one at least.
func (e *limitError) seconds() int { return int((e.wait + time.Second - 1) / time.Second) }

// throttle keeps the buckets.
type throttle struct {
	accounts, addresses *buckets // of wrong passwords
	token, api, users   *buckets // of requests: by address, by address, by user
	codes               *buckets // that a user types

	mu      sync.Mutex
	friends map[string]time.Time // account and address that signed in, and when
}

func newThrottle(l Limits) *throttle {
	if l.SignInFailures == 0 {
		l.SignInFailures = 20
	}
	if l.Requests == 0 {
		l.Requests = 100
	}
	t := &throttle{friends: map[string]time.Time{}}
	if n := l.SignInFailures; n > 0 {
		t.accounts = newBuckets(n, forgiveEvery)
		t.addresses = newBuckets(addressShare*n, forgiveEvery/addressShare)
		t.codes = newBuckets(n, forgiveEvery)
	}
	if n := l.Requests; n > 0 {
		every := time.Second / time.Duration(n)
		t.token, t.api, t.users = newBuckets(10*n, every), newBuckets(10*n, every), newBuckets(10*n, every)
	}
	return t
}

// attempt is a sign-in that was let through.
type attempt struct {
	t             *throttle
	name, address string
	account       bool // it was taken from the account's bucket
}

// signIn lets an attempt to sign in through, before the costly look at the
// password. An address from which the account has signed in before does not
// suffer from what others try. Errors: *limitError.
func (t *throttle) signIn(name, address string, now time.Time) (attempt, error) {
	a := attempt{t: t, name: accountKey(name), address: addressKey(address)}
	if t.accounts == nil {
		return a, nil
	}
	t.mu.Lock()
	seen, known := t.friends[a.name+" "+a.address]
	t.mu.Unlock()
	a.account = !known || now.Sub(seen) > friendly
	if wait := t.addresses.take(a.address, now); wait > 0 {
		return a, &limitError{"too many wrong passwords from this address", wait}
	}
	if a.account {
		if wait := t.accounts.take(a.name, now); wait > 0 {
			t.addresses.give(a.address, now)
			return a, &limitError{"too many wrong passwords for this account", wait}
		}
	}
	return a, nil
}

// undo takes the attempt back: it was no wrong password.
func (a attempt) undo(now time.Time) {
	if a.t.accounts == nil {
		return
	}
	a.t.addresses.give(a.address, now)
	if a.account {
		a.t.accounts.give(a.name, now)
	}
}

// succeeded notes that the password was right.
func (a attempt) succeeded(now time.Time) {
	a.undo(now)
	if a.t.accounts == nil {
		return
	}
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	if len(a.t.friends) >= maxBuckets {
		clear(a.t.friends)
	}
	a.t.friends[a.name+" "+a.address] = now
}

// accountKey is how an account is counted: a name, however long.
func accountKey(name string) string {
	const most = 256
	return strings.ToLower(name[:min(len(name), most)])
}

// addressKey is how an address is counted: of IPv6 the network, of which one
// person has all.
func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// asksAPI reports whether a request is one of an API with answers to work out,
// and not of a file.
func asksAPI(x *exchange, r *http.Request) bool {
	return x.area == areaAPI || x.area == areaHF && strings.HasPrefix(r.URL.Path, "/api/")
}

// limitAddress ends requests of the token endpoint and the API that come too
// often from an address, before anything is looked up.
func (s *Server) limitAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		x := exchangeOf(c.Request().Context())
		var b *buckets
		switch {
		case x.area == areaToken:
			b = s.throttle.token
		case asksAPI(x, c.Request()):
			b = s.throttle.api
		}
		if wait := b.take(addressKey(x.actor.Address), s.now()); wait > 0 {
			return &limitError{"too many requests from this address", wait}
		}
		return next(c)
	}
}

// limitUser ends requests of the API that a user makes too often.
func (s *Server) limitUser(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		x := exchangeOf(c.Request().Context())
		if asksAPI(x, c.Request()) && !x.principal.Anonymous() {
			if wait := s.throttle.users.take(x.principal.Name, s.now()); wait > 0 {
				return &limitError{"too many requests of this user", wait}
			}
		}
		return next(c)
	}
}

// buckets are token buckets by key, kept as the generic cell rate algorithm
// does: the time at which a bucket will be full again. A key without one has a
// full bucket. A nil *buckets limits nothing.
type buckets struct {
	every time.Duration // for one token
	room  time.Duration // for a whole bucket

	mu   sync.Mutex
	full map[string]time.Time
}

func newBuckets(size int, every time.Duration) *buckets {
	return &buckets{every: every, room: time.Duration(size) * every, full: map[string]time.Time{}}
}

// take takes a token out of a bucket, or returns how long it takes until there is one.
func (b *buckets) take(key string, now time.Time) (wait time.Duration) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	full, ok := b.full[key]
	if !ok || full.Before(now) {
		full = now
	}
	if full = full.Add(b.every); full.Sub(now) > b.room {
		return full.Sub(now) - b.room
	}
	if !ok && len(b.full) >= maxBuckets {
		b.shed(now)
	}
	b.full[key] = full
	return 0
}

// give puts a token back.
func (b *buckets) give(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full, ok := b.full[key]
	if full = full.Add(-b.every); ok && full.After(now) {
		b.full[key] = full
	} else {
		delete(b.full, key)
	}
}

// shed makes room: full buckets go, and where there are none the fuller half
// of a sample, so that nobody empties another's by filling the memory.
func (b *buckets) shed(now time.Time) {
	for key, full := range b.full {
		if !full.After(now) {
			delete(b.full, key)
		}
	}
	const sample = 1000
	for len(b.full) >= maxBuckets {
		limit, n := b.room/2, 0
		for key, full := range b.full {
			if n++; n > sample {
				break
			}
			if full.Sub(now) <= limit {
				delete(b.full, key)
			}
		}
		if len(b.full) < maxBuckets {
			return
		}
		// All of the sample are nearly empty: any of them goes.
		for key := range b.full {
			delete(b.full, key)
			break
		}
	}
}
