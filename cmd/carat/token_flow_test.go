package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oras.land/oras-go/v2"
	orasremote "oras.land/oras-go/v2/registry/remote"
	orasauth "oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/client"
)

// tokens is an answer of the token endpoint.
type tokens struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
	IssuedType   string `json:"issued_token_type"`
}

// tokenForm sends a form, given as key, value, …, to the token endpoint.
func tokenForm(t *testing.T, base string, pairs ...string) (int, tokens) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/token", strings.NewReader(v.Encode())))(t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return readTokens(t, req)
}

func readTokens(t *testing.T, req *http.Request) (int, tokens) {
	t.Helper()
	got := must(send(req))(t)
	var a tokens
	if err := json.Unmarshal(got.body, &a); err != nil {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return got.status, a
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, base string) {
		admin, host := user{t.TempDir()}, strings.TrimPrefix(base, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		const scope = "repository:lab/m:pull,push"
		password := []string{"grant_type", "password", "service", "carat", "client_id", "docker", "username", adminName, "password", testPassword, "scope", scope}

		if status, a := tokenForm(t, base, password...); status != http.StatusOK || a.RefreshToken != "" {
			t.Errorf("not asked for: %d %+v", status, a)
		}
		status, kept := tokenForm(t, base, append(password, "access_type", "offline")...)
		if status != http.StatusOK || !strings.HasPrefix(kept.RefreshToken, auth.RefreshTokenPrefix) || kept.Scope != scope {
			t.Fatalf("offline: %d %+v", status, kept)
		}
		refresh := func(token string, more ...string) (int, tokens) {
			t.Helper()
			return tokenForm(t, base, append([]string{"grant_type", "refresh_token", "service", "carat", "client_id", "docker", "refresh_token", token, "scope", scope}, more...)...)
		}
		if status, a := refresh(kept.RefreshToken); status != http.StatusOK || a.Scope != scope || a.AccessToken == "" || a.RefreshToken != "" {
			t.Errorf("refreshed: %d %+v", status, a)
		}
		for name, status := range map[string]int{
			"changed":      first(refresh(kept.RefreshToken[:len(kept.RefreshToken)-1] + "-")),
			"empty":        first(refresh("")),
			"a password":   first(refresh(testPassword)),
			"a JWT":        first(refresh(kept.AccessToken)),
			"very long":    first(refresh(strings.Repeat("a", 60_000))),
			"SQL":          first(refresh("' OR 1=1 --")),
			"as a Bearer":  bearer(t, base+"/api/v1/models", kept.RefreshToken),
			"as password":  first(tokenForm(t, base, "grant_type", "password", "username", adminName, "password", kept.RefreshToken)),
			"no such user": first(tokenForm(t, base, "grant_type", "password", "username", "x", "password", "x", "access_type", "offline")),
		} {
			if status != http.StatusUnauthorized {
				t.Errorf("%s: status %d", name, status)
			}
		}
		if status, _ := tokenForm(t, base, "grant_type", "refresh_token", "service", "other", "refresh_token", kept.RefreshToken); status != http.StatusBadRequest {
			t.Errorf("another service: status %d", status)
		}

		// As docker login asks, and then another program uses what it stored.
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/token?account=admin&client_id=docker&offline_token=true&service=carat", nil))(t)
		req.SetBasicAuth(adminName, testPassword)
		_, docker := readTokens(t, req)
		repo := must(orasremote.NewRepository(host + "/lab/m"))(t)
		repo.PlainHTTP = true
		repo.Client = &orasauth.Client{Client: http.DefaultClient, Credential: orasauth.StaticCredential(host, orasauth.Credential{RefreshToken: docker.RefreshToken})}
		if _, err := oras.PushBytes(t.Context(), repo, "application/x.layer", []byte("by a refresh token")); err != nil {
			t.Errorf("push: %v", err)
		}

		// An access token is kept itself.
		read := strings.TrimSpace(admin.must(t, "", "token", "create", host, "reader"))
		if status, a := tokenForm(t, base, "grant_type", "password", "username", "x", "password", read, "access_type", "offline"); status != http.StatusOK || a.RefreshToken != "" {
			t.Errorf("for an access token: %d %+v", status, a)
		}

		admin.must(t, "", "logout", host, "--everywhere")
		for _, token := range []string{kept.RefreshToken, docker.RefreshToken} {
			if status, _ := refresh(token); status != http.StatusUnauthorized {
				t.Errorf("after signing out everywhere: status %d", status)
			}
		}
		admin.expect(t, 1, "log in first", "logout", host, "--everywhere")
	})
}

func first[A, B any](a A, _ B) A { return a }

// bearer returns the status of a GET with a token.
func bearer(t *testing.T, address, token string) int {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))(t)
	req.Header.Set("Authorization", "Bearer "+token)
	return must(send(req))(t).status
}

// hours is a transport under which every chunk of an upload takes most of an hour.
type hours struct {
	pass   func(time.Duration)
	mu     sync.Mutex
	tokens int // how many were fetched
	late   int // 401s in the middle
}

func (h *hours) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		h.pass(40 * time.Minute)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.URL.Path == "/token" {
		h.tokens++
	}
	if err == nil && resp.StatusCode == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		h.late++
	}
	return resp, err
}

// A push that takes longer than its tokens hold, with a password, a refresh
// token or an access token behind them.
func TestPushOutlivesItsTokens(t *testing.T) {
	t.Parallel()
	var now atomic.Int64 // ns after the start
	begun := time.Now()
	pass := func(d time.Duration) { now.Add(int64(d)) }
	_, base := startHub(t, serveConfig{clock: func() time.Time { return begun.Add(time.Duration(now.Load())) }}, nil)
	host := strings.TrimPrefix(base, "http://")
	admin := user{t.TempDir()}
	admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	_, offline := tokenForm(t, base, "grant_type", "password", "client_id", "x", "username", adminName, "password", testPassword, "access_type", "offline")

	for name, cred := range map[string]orasauth.Credential{
		"password":      {Username: adminName, Password: testPassword},
		"refresh token": {RefreshToken: offline.RefreshToken},
		"access token":  {Username: "x", Password: strings.TrimSpace(admin.must(t, "", "token", "create", host, "writer", "--access", "write"))},
	} {
		t.Run(name, func(t *testing.T) {
			weights := make([]byte, 6<<20)
			rand.Read(weights)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "m.gguf"), append([]byte("GGUF"), weights...), 0o600); err != nil {
				t.Fatal(err)
			}
			store := credentials.NewMemoryStore()
			if err := store.Put(t.Context(), host, cred); err != nil {
				t.Fatal(err)
			}
			slow := &hours{pass: pass}
			c := client.New(client.Options{Credentials: store, ChunkSize: 1 << 20, Jobs: 1, Transport: slow})
			source := must(client.OpenSource(dir))(t)
			defer source.Close()
			p, err := c.Pack(t.Context(), source, client.Description{})
			if err != nil {
				t.Fatal(err)
			}
			ref := must(client.ParseReference(host + "/lab/" + strings.ReplaceAll(name, " ", "-") + ":v1"))(t)
			if _, err := c.Push(t.Context(), p, ref); err != nil {
				t.Fatal(err)
			}
			if slow.tokens < 4 || slow.late < 3 {
				t.Errorf("%d tokens were fetched, %d requests came too late", slow.tokens, slow.late)
			}
			back := t.TempDir()
			if _, err := c.Pull(t.Context(), ref, back); err != nil {
				t.Fatal(err)
			}
			if got := must(os.ReadFile(filepath.Join(back, "m.gguf")))(t); !bytes.HasSuffix(got, weights) {
				t.Error("other bytes came back")
			}
		})
	}
}
