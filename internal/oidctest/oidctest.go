package oidctest

import (
	"bufio"
	"crypto/rand"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/internal/child"
	"github.com/carat-hub/carat/internal/toolbin"
)

const (
	redirect = "http://127.0.0.1/callback" // nobody listens there
	patience = 60 * time.Second
)

// Provider is a running provider.
type Provider struct {
	Issuer string // http://127.0.0.1:port

	process *child.Process
}

// Start starts a provider that knows clients and people by their names, and ends it with the test.
func Start(t testing.TB, clients, subjects []string) *Provider {
	t.Helper()
	return StartFor(t, redirect, clients, subjects)
}

// StartFor is Start for clients that are redirected to an address. Their secret is "secret".
func StartFor(t testing.TB, redirect string, clients, subjects []string) *Provider {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(toolbin.Path(t, "oidcprovider"), append([]string{"-clients", strings.Join(clients, ","), "-redirect", redirect, "--"}, subjects...)...)
	cmd.Stdout = in
	p := &Provider{}
	p.process, err = child.Start(cmd, "")
	_ = in.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		_ = out.Close()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the provider says no address: %v", err)
	}
	p.Issuer = strings.TrimSpace(line)
	return p
}

// Stop ends the provider. It may be called again.
func (p *Provider) Stop() { _ = p.process.Stop(syscall.SIGTERM, patience) }

// IDToken signs a person in, as their browser would, and returns the ID token for a client (implicit flow).
func (p *Provider) IDToken(t testing.TB, client, subject string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var fragment string
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			fragment = r.URL.Fragment
			return http.ErrUseLastResponse
		}
		return nil
	}}
	visit := func(method, address string, form url.Values) *url.URL {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Request.URL
	}
	q := url.Values{"client_id": {client}, "redirect_uri": {redirect}, "response_type": {"id_token"}, "scope": {"openid email"}, "nonce": {rand.Text()}, "state": {"s"}}
	login := visit(http.MethodGet, p.Issuer+"/auth?"+q.Encode(), nil)
	visit(http.MethodPost, p.Issuer+"/login/username", url.Values{"id": {login.Query().Get("authRequestID")}, "username": {subject}, "password": {subject}})
	got, err := url.ParseQuery(fragment)
	if err != nil || got.Get("id_token") == "" {
		t.Fatalf("no ID token for %s: %s at %s", subject, fragment, login)
	}
	return got.Get("id_token")
}
