package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

func TestBuckets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := newBuckets(3, time.Second)
	takes := func(key string, want ...time.Duration) {
		t.Helper()
		for i, w := range want {
			if got := b.take(key, now); got != w {
				t.Fatalf("take %d of %s waits %s, want %s", i, key, got, w)
			}
		}
	}
	takes("a", 0, 0, 0, time.Second, time.Second)
	takes("b", 0)
	now = now.Add(500 * time.Millisecond)
	takes("a", 500*time.Millisecond)
	now = now.Add(500 * time.Millisecond)
	takes("a", 0, time.Second)
	b.give("a", now)
	takes("a", 0, time.Second)
	now = now.Add(time.Hour)
	takes("a", 0, 0, 0, time.Second)
	b.give("nobody", now)
	takes("nobody", 0, 0, 0, time.Second)
	var none *buckets
	if none.take("a", now) != 0 {
		t.Error("no buckets limit something")
	}
}

// TestBucketsAreBounded: a flood of keys takes no memory and empties nobody's bucket.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := newBuckets(10, time.Minute)
	for range 10 {
		b.take("victim", now)
	}
	for i := range 2*maxBuckets + 10 {
		b.take(strconv.Itoa(i), now)
		if len(b.full) > maxBuckets {
			t.Fatalf("%d buckets", len(b.full))
		}
	}
	if b.take("victim", now) == 0 {
		t.Error("the flood filled the victim's bucket")
	}
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "pipe": "pipe", "": "",
	} {
		if got := addressKey(in); got != want {
			t.Errorf("%q is counted as %q, want %q", in, got, want)
		}
	}
}

// limited is a rig with a clock that stands still and few tries.
func limited(t *testing.T, l Limits) (*rig, *atomic.Int64) {
	t.Helper()
	clock := new(atomic.Int64)
	return setup(t, whoami, func(o *Options) {
		o.Limits, o.TrustProxy = l, true
		o.Clock = func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(clock.Load())) }
	}), clock
}

func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	r, clock := limited(t, Limits{SignInFailures: 3})
	ask := func(address, name, secret string) *http.Response {
		t.Helper()
		resp, body := r.get("/api/whoami", "X-Forwarded-For", address, "Authorization", basic(name, secret))
		if resp.StatusCode == http.StatusTooManyRequests && !strings.Contains(body, "TOOMANYREQUESTS") {
			t.Errorf("429 as %s", body)
		}
		return resp
	}
	want := func(status int, address, name, secret string) {
		t.Helper()
		if got := ask(address, name, secret); got.StatusCode != status {
			t.Errorf("%s from %s: status %d, want %d", name, address, got.StatusCode, status)
		}
	}
	want(200, "192.0.2.1", "user", password) // who signed in from here before
	for range 3 {
		want(401, "192.0.2.2", "user", "wrong")
	}
	resp := ask("192.0.2.3", "user", password)
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != 429 || err != nil || after < 1 || after > 10 {
		t.Errorf("the account from elsewhere: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	want(200, "192.0.2.1", "user", password)
	want(200, "192.0.2.2", "admin", password)
	resp, body := r.get("/token", "X-Forwarded-For", "192.0.2.2", "Authorization", basic("user", password))
	if resp.StatusCode != 429 || !strings.Contains(body, "TOOMANYREQUESTS") {
		t.Errorf("the token endpoint: %d %s", resp.StatusCode, body)
	}
	// A name that nobody has is treated alike.
	for range 3 {
		want(401, "192.0.2.4", "nobody", "wrong")
	}
	want(429, "192.0.2.5", "NOBODY", "wrong")
	clock.Add(int64(forgiveEvery))
	want(200, "192.0.2.3", "user", password)
	want(401, "192.0.2.4", "nobody", "wrong") // the one that was forgiven
	want(429, "192.0.2.4", "nobody", "wrong")
	for range 20 {
		want(200, "192.0.2.6", "user", password) // what is right costs nothing
	}
	// An address is limited over all accounts.
	for i := range 15 {
		want(401, "192.0.2.7", fmt.Sprint("guess", i), "wrong")
	}
	want(429, "192.0.2.7", "other", "wrong")
	want(401, "192.0.2.8", "other", "wrong")
}

// TestNoHashForTheThrottled: a refused attempt costs no look at the user.
func TestNoHashForTheThrottled(t *testing.T) {
	t.Parallel()
	var looked atomic.Int64
	r := setup(t, whoami, func(o *Options) {
		o.Limits = Limits{SignInFailures: 1}
		o.Users = counting{o.Users.(users), &looked}
	})
	for range 5 {
		r.get("/api/whoami", "Authorization", basic("user", "wrong"))
	}
	if n := looked.Load(); n != 1 {
		t.Errorf("looked at %d times", n)
	}
}

func TestRequestRate(t *testing.T) {
	t.Parallel()
	r, clock := limited(t, Limits{Requests: 1})
	count := func(path string, header ...string) (served int) {
		t.Helper()
		for range 15 {
			if resp, _ := r.get(path, header...); resp.StatusCode == http.StatusOK {
				served++
			} else if resp.StatusCode != http.StatusTooManyRequests {
				t.Fatalf("%s: status %d", path, resp.StatusCode)
			}
		}
		return served
	}
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	if n := count("/token", from("192.0.2.1")...); n != 10 {
		t.Errorf("%d tokens", n)
	}
	if n := count("/api/whoami", from("192.0.2.1")...); n != 10 {
		t.Errorf("%d requests of the API", n)
	}
	if n := count("/api/whoami", from("192.0.2.2")...); n != 10 {
		t.Errorf("%d requests from another address", n)
	}
	for _, path := range []string{"/v2/whoami", "/whoami", "/livez"} {
		if n := count(path, from("192.0.2.1")...); n != 15 {
			t.Errorf("%d of %s", n, path)
		}
	}
	clock.Add(int64(3 * time.Second))
	if n := count("/api/whoami", from("192.0.2.1")...); n != 3 {
		t.Errorf("%d three seconds later", n)
	}
	// A user is limited over all addresses.
	served := 0
	for i := range 15 {
		if resp, _ := r.get("/api/whoami", append(from(fmt.Sprint("198.51.100.", i)), "Authorization", basic("user", password))...); resp.StatusCode == http.StatusOK {
			served++
		}
	}
	if served != 10 {
		t.Errorf("%d requests of one user", served)
	}
}

func TestMetricsAreForAdministrators(t *testing.T) {
	t.Parallel()
	r := setup(t, func(*echo.Echo) {})
	for header, want := range map[string]int{"": 401, basic("user", password): 403, basic("admin", "wrong"): 401, r.bearer(admin): 403, basic("admin", password): 200} {
		var h []string
		if header != "" {
			h = []string{"Authorization", header}
		}
		if resp, _ := r.get("/metrics", h...); resp.StatusCode != want {
			t.Errorf("with %.12q: status %d, want %d", header, resp.StatusCode, want)
		}
	}
}

// counting counts how often a user is looked up.
type counting struct {
	users
	n *atomic.Int64
}

func (c counting) User(ctx context.Context, name string) (auth.User, error) {
	c.n.Add(1)
	return c.users.User(ctx, name)
}
