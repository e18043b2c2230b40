package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/registry"
)

var update = flag.Bool("update", false, "write golden files")

// password is what every user of the tests has. It must never be in a log.
const password = "canary-password-6c1f"

// tokenSeed is that of the key that signs.
var tokenSeed = bytes.Repeat([]byte{1}, auth.SeedLen)

var passwordHash = sync.OnceValues(func() (string, error) {
	return auth.HashPassword(context.Background(), password)
})

// rig is a server that listens, with all that a test looks at.
type rig struct {
	*Server
	t       *testing.T
	url     string
	signer  *auth.Signer
	keys    *auth.Keys
	metrics *prometheus.Registry
	log     *logBuffer
	stop    context.CancelFunc // begins a shutdown
	ended   chan error         // what Serve returned
}

// setup starts a server with the routes given.
func setup(t *testing.T, routes func(e *echo.Echo), edits ...func(o *Options)) *rig {
	t.Helper()
	signer, keys := authtest.Signer(t, tokenSeed)
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, signer: signer, keys: keys, metrics: prometheus.NewRegistry(), log: new(logBuffer), ended: make(chan error, 1)}
	o := Options{
		Users: users{
			"admin": {ID: 1, Name: "admin", Admin: true, PasswordHash: hash},
			"user":  {ID: 2, Name: "user", PasswordHash: hash},
		},
		Signer:       signer,
		Repositories: repositories{"open/model": auth.Public, "closed/model": auth.Private},
		Metrics:      r.metrics,
		Logger:       slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if routes != nil {
		o.Routes = []Routes{routesFunc(routes)}
	}
	for _, edit := range edits {
		edit(&o)
	}
	if r.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- r.Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// send sends a request and returns the answer with its body read.
func (r *rig) send(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(text)
}

func (r *rig) get(path string, header ...string) (*http.Response, string) {
	r.t.Helper()
	return r.send(http.MethodGet, path, nil, header...)
}

// bearer returns an Authorization header with a token for a user.
func (r *rig) bearer(p auth.Principal, scopes ...string) string {
	r.t.Helper()
	list, err := auth.ParseScopes(scopes)
	if err != nil {
		r.t.Fatal(err)
	}
	tok, err := r.signer.Sign(p, list, time.Minute)
	if err != nil {
		r.t.Fatal(err)
	}
	return "Bearer " + tok.Text
}

// code returns the error code in a body, "" when it is no error list.
func code(body string) registry.Code {
	var list struct{ Errors []errorBody }
	if json.Unmarshal([]byte(body), &list) != nil || len(list.Errors) != 1 {
		return ""
	}
	return list.Errors[0].Code
}

// logged waits for the access log line of the first request that matches.
func (r *rig) logged(match func(line map[string]any) bool) map[string]any {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		text, more := r.log.read()
		for line := range strings.SplitSeq(text, "\n") {
			var m map[string]any
			if json.Unmarshal([]byte(line), &m) == nil && match(m) {
				return m
			}
		}
		select {
		case <-more:
		case <-time.After(time.Until(deadline)):
			r.t.Fatalf("no such line in the log:\n%s", text)
		}
	}
}

func withStatus(status int) func(map[string]any) bool {
	return func(m map[string]any) bool { return m["status"] == float64(status) }
}

type routesFunc func(e *echo.Echo)

func (f routesFunc) Register(e *echo.Echo) { f(e) }

type users map[string]auth.User

func (u users) User(_ context.Context, name string) (auth.User, error) {
	if v, ok := u[name]; ok {
		return v, nil
	}
	return auth.User{}, auth.ErrUnknownUser
}

var errDatabase = errors.New("canary-cause: connection to database lost")

type repositories map[registry.Name]auth.Visibility

func (r repositories) Visibility(_ context.Context, n registry.Name) (auth.Visibility, bool, error) {
	if n == "broken/model" {
		return "", false, errDatabase
	}
	if v, ok := r[n]; ok {
		return v, true, nil
	}
	return auth.Public, false, nil
}

// logBuffer is a log that can be waited for.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return b.text.Write(p)
}

// read returns the text so far and a channel that closes when there is more.
func (b *logBuffer) read() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return b.text.String(), b.more
}
