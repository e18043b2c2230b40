package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/registry"
)

const (
	testUser     = "ada"
	testPassword = "canary-password"
)

// watched is a handler that keeps every header and body form it sees.
type watched struct {
	mu   sync.Mutex
	seen []string
	next http.Handler
}

func (h *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	var line strings.Builder
	fmt.Fprintf(&line, "%s %s ", r.Method, r.URL)
	for k, v := range r.Header {
		fmt.Fprintf(&line, "%s=%q ", k, v)
	}
	if strings.Contains(r.Header.Get("Content-Type"), "form") {
		_ = r.ParseForm()
		fmt.Fprintf(&line, "%v", r.Form)
	}
	h.seen = append(h.seen, line.String())
	h.mu.Unlock()
	h.next.ServeHTTP(w, r)
}

// leaked returns the first request that held a secret.
func (h *watched) leaked() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen {
		if strings.Contains(s, "Authorization") || strings.Contains(s, "canary") || strings.Contains(s, "Cookie") {
			return s
		}
	}
	return ""
}

func (h *watched) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.seen)
}

// listenOn starts a server on another loopback address: another origin, and another host name.
func listenOn(t *testing.T, addr string, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Skipf("cannot listen on %s: %v", addr, err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// tokenServer is a token service in front of a handler: every token is good
// for a number of requests.
type tokenServer struct {
	mu     sync.Mutex
	realm  string // of the challenge, "" for the server's own
	uses   int
	left   int
	tokens int
	scopes []string
	next   http.Handler
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		s.mu.Lock()
		defer s.mu.Unlock()
		user, password, ok := r.BasicAuth()
		if ok && (user != testUser || password != testPassword) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]}`)
			return
		}
		s.tokens++
		s.left = s.uses
		s.scopes = append(s.scopes, r.URL.Query()["scope"]...)
		kind := "anonymous"
		if ok {
			kind = "canary-token"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": fmt.Sprintf("%s-%d", kind, s.tokens)})
		return
	}
	s.mu.Lock()
	good := r.Header.Get("Authorization") == fmt.Sprintf("Bearer canary-token-%d", s.tokens) && s.left > 0
	s.left--
	realm := s.realm
	s.mu.Unlock()
	if !good {
		if realm == "" {
			realm = "http://" + r.Host + "/token"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="test",scope="repository:demo/m:pull"`, realm))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`)
		return
	}
	s.next.ServeHTTP(w, r)
}

func withCredentials(t *testing.T, host string) func(*Options) {
	t.Helper()
	store := credentials.NewMemoryStore()
	if err := store.Put(context.Background(), host, auth.Credential{Username: testUser, Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Credentials, o.ChunkSize = store, testChunk }
}

func TestTokenIsRefreshedInTheMiddle(t *testing.T) {
	t.Parallel()
	ts := &tokenServer{uses: 3}
	host := newRegistry(t, func(next http.Handler) http.Handler {
		ts.next = next
		return ts
	})
	model := map[string][]byte{"m.gguf": append([]byte("GGUF"), noise(1, 1_000_000)...), "config.json": []byte("{}")}
	c, _ := newClient(t, withCredentials(t, host))
	c.opts.Jobs, c.opts.ChunkSize = 1, 2<<20 // the independent registry takes one chunk only
	ref := parseRef(t, host+"/demo/m:v1")
	if _, err := c.Push(t.Context(), pack(t, c, writeModel(t, model)), ref); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := c.Pull(t.Context(), ref, dir); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, model, readModel(t, dir))
	if ts.tokens < 3 {
		t.Errorf("%d tokens were fetched, want one every 3 requests", ts.tokens)
	}
	if got := strings.Join(ts.scopes, " "); !strings.Contains(got, "repository:demo/m:pull,push") {
		t.Errorf("scopes asked for: %s", got)
	}
}

func TestTokenIsRefreshedBetweenChunks(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	ts := &tokenServer{uses: 2, next: s}
	host := newRegistry(t, func(http.Handler) http.Handler { return ts })
	c, _ := newClient(t, withCredentials(t, host))
	c.opts.ChunkSize = 2 << 20 // large enough that the server is asked before the bytes are sent
	data := noise(9, 7<<20)
	d := Descriptor{Digest: registry.DigestOf(registry.SHA256, data), Size: int64(len(data))}
	r := c.remote(host)
	if _, err := r.pushBlob(t.Context(), "demo/m", d, strings.NewReader(string(data)), func() error { return nil }, c.track(Event{})); err != nil {
		t.Fatal(err)
	}
	if string(s.blobs[d.Digest.String()]) != string(data) || s.requests("POST") != 1 {
		t.Errorf("the blob did not arrive in one upload: %v", s.log)
	}
	if ts.tokens < 3 {
		t.Errorf("%d tokens were fetched", ts.tokens)
	}
}

func TestPasswordStaysHome(t *testing.T) {
	t.Parallel()
	evil := &watched{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"token":"from-evil"}`)
	})}
	evilHost := listenOn(t, "127.0.0.2", evil)
	ts := &tokenServer{uses: 100, realm: "http://" + evilHost + "/token", next: http.NotFoundHandler()}
	host := newRegistry(t, func(http.Handler) http.Handler { return ts })
	c, _ := newClient(t, withCredentials(t, host))
	ref := parseRef(t, host+"/demo/m:v1")
	_, err := c.Pull(t.Context(), ref, t.TempDir())
	if err == nil {
		t.Error("the pull worked")
	}
	if s := evil.leaked(); s != "" {
		t.Errorf("another host got a secret: %s", s)
	}
	if err := c.Login(t.Context(), host, testUser, testPassword); err == nil {
		t.Error("the login worked")
	}
	if s := evil.leaked(); s != "" {
		t.Errorf("another host got a secret at login: %s", s)
	}
}

func TestChallengeOfAnotherHostGetsNothing(t *testing.T) {
	t.Parallel()
	// Blobs are redirected to a host that asks for credentials itself.
	evil := &watched{}
	evilHost := listenOn(t, "127.0.0.3", evil)
	evil.next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, evilHost))
		w.WriteHeader(http.StatusUnauthorized)
	})
	for _, basic := range []bool{false, true} {
		var s *blobServer
		var ref Reference
		s, ref = newBlobServer(t, map[string][]byte{"m.gguf": []byte("GGUF")})
		s.hook = func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
			http.Redirect(w, r, "http://"+evilHost+"/blob?signature=canarysignature", http.StatusTemporaryRedirect)
			return true
		}
		if basic {
			inner := evil.next
			evil.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inner.ServeHTTP(w, r)
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			})
		}
		c, _ := newClient(t, withCredentials(t, ref.Host))
		_, err := c.Pull(t.Context(), ref, t.TempDir())
		if err == nil {
			t.Error("the pull worked")
		} else if strings.Contains(err.Error(), "signature") {
			t.Errorf("the error shows a signed address: %v", err)
		}
	}
	evil.mu.Lock()
	defer evil.mu.Unlock()
	for _, s := range evil.seen {
		if strings.Contains(s, "Authorization") {
			t.Errorf("another host got credentials: %s", s)
		}
	}
}

func TestRedirectsAndUploadsElsewhereCarryNoToken(t *testing.T) {
	t.Parallel()
	data := append([]byte("GGUF"), noise(2, 200_000)...)
	store := &watched{next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveRange(w, r, data) })}
	storeHost := listenOn(t, "127.0.0.4", store)
	s := &blobServer{}
	s.manifest, s.blobs = manifestOf(t, map[string][]byte{"m.gguf": data})
	s.hook = func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
		http.Redirect(w, r, "http://"+storeHost+"/blob", http.StatusTemporaryRedirect)
		return true
	}
	ts := &tokenServer{uses: 100, next: s}
	host := newRegistry(t, func(http.Handler) http.Handler { return ts })
	c, _ := newClient(t, withCredentials(t, host))
	dir := t.TempDir()
	if _, err := c.Pull(t.Context(), parseRef(t, host+"/demo/m:v1"), dir); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, map[string][]byte{"m.gguf": data}, readModel(t, dir))

	// An upload whose Location is on another host is followed, without the token.
	chunks := newChunkServer(t)
	upload := &watched{next: chunks}
	uploadHost := listenOn(t, "127.0.0.5", upload)
	begin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		chunks.mu.Lock()
		chunks.ids++
		chunks.mu.Unlock()
		w.Header().Set("Location", fmt.Sprintf("http://user:canary@%s/v2/demo/m/blobs/uploads/1", uploadHost))
		w.WriteHeader(http.StatusAccepted)
	})
	host = newRegistry(t, func(http.Handler) http.Handler { return &tokenServer{uses: 100, next: begin} })
	c, _ = newClient(t, withCredentials(t, host))
	d := Descriptor{Digest: registry.DigestOf(registry.SHA256, data), Size: int64(len(data))}
	if _, err := c.remote(host).pushBlob(t.Context(), "demo/m", d, strings.NewReader(string(data)), func() error { return nil }, c.track(Event{})); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*watched{store, upload} {
		if h.count() == 0 {
			t.Error("the other host was never asked")
		}
		if s := h.leaked(); s != "" {
			t.Errorf("another host got a secret: %s", s)
		}
	}
}

// lastStation answers instead of the network.
type lastStation struct{ got *http.Request }

func (l *lastStation) RoundTrip(r *http.Request) (*http.Response, error) {
	l.got = r
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestGuard(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, origin, to, auth, contentType string
		want                                error
		keeps                               bool // the Authorization header
	}{
		{"basic to the registry", "https://r.example.org", "https://r.example.org/v2/", "Basic x", "", nil, true},
		{"bearer to the registry", "https://r.example.org", "https://r.example.org:443/v2/", "Bearer x", "", nil, true},
		{"bearer to another port", "https://r.example.org", "https://r.example.org:8443/v2/", "Bearer x", "", nil, false},
		{"bearer to another host", "https://r.example.org", "https://s3.example.com/x", "Bearer x", "", nil, false},
		{"bearer to a host of the same domain", "https://r.example.org", "https://auth.example.org/x", "Bearer x", "", nil, false},
		{"basic to another port", "https://r.example.org", "https://r.example.org:8443/token", "Basic x", "", nil, true},
		{"basic to the token service of the domain", "https://registry-1.docker.io", "https://auth.docker.io/token", "Basic x", "", nil, true},
		{"basic to another domain", "https://r.example.org", "https://evil.example.com/token", "Basic x", "", ErrForeignCredentials, false},
		{"basic to a name that ends alike", "https://r.example.org", "https://evilexample.org/token", "Basic x", "", ErrForeignCredentials, false},
		{"basic to a neighbour under a public suffix", "https://me.github.io", "https://evil.github.io/token", "Basic x", "", ErrForeignCredentials, false},
		{"basic to another address", "http://127.0.0.1:5000", "http://127.0.0.2:5000/token", "Basic x", "", ErrForeignCredentials, false},
		{"basic to a named host", "https://r.example.org", "https://token.example.com/token", "Basic x", "", nil, true},
		{"basic to a named host on another port", "https://r.example.org", "https://token.example.com:444/token", "Basic x", "", ErrForeignCredentials, false},
		{"refresh token to another domain", "https://r.example.org", "https://evil.example.com/token", "", form, ErrForeignCredentials, false},
		{"refresh token to the domain", "https://r.example.org", "https://auth.example.org/token", "", form, nil, false},
		{"nothing to another domain", "https://r.example.org", "https://s3.example.com/x", "", "", nil, false},
		{"downgrade", "https://r.example.org", "http://r.example.org/v2/", "", "", ErrDowngrade, false},
		{"downgrade elsewhere", "https://r.example.org", "http://s3.example.com/x", "", "", ErrDowngrade, false},
		{"plain to plain", "http://r.example.org", "http://r.example.org/v2/", "Bearer x", "", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			origin, err := url.Parse(tt.origin)
			if err != nil {
				t.Fatal(err)
			}
			last := &lastStation{}
			g := &guard{base: last, origin: *origin, tokenHosts: []string{"token.example.com"}}
			req := httptest.NewRequest(http.MethodPost, tt.to, nil)
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			resp, err := g.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("RoundTrip: %v, want %v", err, tt.want)
			}
			if (last.got == nil) != (tt.want != nil) {
				t.Fatalf("the request was sent: %v", last.got != nil)
			}
			if last.got != nil && (last.got.Header.Get("Authorization") != "") != tt.keeps {
				t.Errorf("Authorization sent is %q", last.got.Header.Get("Authorization"))
			}
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	ts := &tokenServer{uses: 100, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	host := newRegistry(t, func(http.Handler) http.Handler { return ts })
	store, err := credentials.NewStore(filepath.Join(t.TempDir(), "config.json"), credentials.StoreOptions{AllowPlaintextPut: true})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, func(o *Options) { o.Credentials = store })
	stored := func() auth.Credential {
		cred, err := store.Get(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	if err := c.Login(t.Context(), host, testUser, "wrong"); !errors.Is(err, ErrLoginRefused) {
		t.Errorf("login with a wrong password: %v, want ErrLoginRefused", err)
	}
	if stored() != auth.EmptyCredential {
		t.Error("refused credentials were stored")
	}
	if err := c.Login(t.Context(), host, testUser, testPassword); err != nil {
		t.Fatal(err)
	}
	if got := stored(); got.Username != testUser || got.Password != testPassword {
		t.Errorf("stored %q", got.Username)
	}
	if err := c.Logout(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if stored() != auth.EmptyCredential {
		t.Error("credentials are still there after the logout")
	}
	if err := New(Options{}).Login(t.Context(), host, "a", "b"); !errors.Is(err, ErrNoStore) {
		t.Errorf("login without a store: %v", err)
	}
}

func TestLoginBasic(t *testing.T) {
	t.Parallel()
	host := newRegistry(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, ok := r.BasicAuth(); !ok || user != testUser || password != testPassword {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
	})
	c, _ := newClient(t, func(o *Options) { o.Credentials = credentials.NewMemoryStore() })
	if err := c.Login(t.Context(), host, testUser, "wrong"); !errors.Is(err, ErrLoginRefused) {
		t.Errorf("login with a wrong password: %v, want ErrLoginRefused", err)
	}
	if err := c.Login(t.Context(), host, testUser, testPassword); err != nil {
		t.Error(err)
	}
}
