package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carat-hub/carat/auth"
)

// identities is a WorkloadStore in memory.
type identities struct {
	mu   sync.Mutex
	used map[string]bool
	made []auth.AccessToken
}

func (s *identities) User(_ context.Context, name string) (auth.User, error) {
	if name != "ci" {
		return auth.User{}, auth.ErrUnknownUser
	}
	return auth.User{ID: 7, Name: "ci"}, nil
}

func (s *identities) ExchangeIdentity(_ context.Context, identity []byte, _ time.Time, t auth.AccessToken, _ []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[string(identity)] {
		return 0, auth.ErrTokenUsed
	}
	s.used[string(identity)] = true
	s.made = append(s.made, t)
	return int64(len(s.made)), nil
}

// fakeIssuer is an issuer whose tokens the test can forge.
type fakeIssuer struct {
	*httptest.Server
	key      *rsa.PrivateKey
	mu       sync.Mutex
	requests int
	answer   func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newFakeIssuer(t *testing.T) *fakeIssuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &fakeIssuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests++
		answer := i.answer
		i.mu.Unlock()
		if answer != nil && answer(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["RS256","HS256","none"]}`, i.URL, i.URL+"/keys")
		case "/keys":
			e := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
			fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","kid":"one","n":%q,"e":%q}]}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()), e)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *fakeIssuer) seen() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

func (i *fakeIssuer) claims(edit func(c jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": i.URL, "aud": "hub", "sub": "repo:acme/m:ref:refs/heads/main", "owner_id": "42", "number": 7, "protected": true, "jti": rand.Text(),
		"iat": epoch.Unix(), "nbf": epoch.Unix(), "exp": epoch.Add(10 * time.Minute).Unix(),
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func sealed(t *testing.T, method jwt.SigningMethod, key any, kid string, c jwt.MapClaims, header ...any) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, c)
	tok.Header["kid"] = kid
	for i := 0; i < len(header); i += 2 {
		tok.Header[header[i].(string)] = header[i+1]
	}
	text, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (i *fakeIssuer) token(t *testing.T, edit func(c jwt.MapClaims)) string {
	t.Helper()
	return sealed(t, jwt.SigningMethodRS256, i.key, "one", i.claims(edit))
}

func (i *fakeIssuer) rule(edit func(r *auth.WorkloadRule)) auth.WorkloadRule {
	r := auth.WorkloadRule{
		Issuer: i.URL, Audience: "hub", Subject: "repo:acme/*:ref:refs/heads/main", Claims: map[string]string{"owner_id": "42", "number": "7", "protected": "true"},
		User: "ci", Repositories: []string{"acme/*"}, Access: "write", Lifetime: "30m",
	}
	if edit != nil {
		edit(&r)
	}
	return r
}

func workloads(t *testing.T, store auth.WorkloadStore, now *time.Time, rules ...auth.WorkloadRule) *auth.Workloads {
	t.Helper()
	w, err := auth.NewWorkloads(auth.WorkloadOptions{Rules: rules, Store: store, Clock: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestExchange(t *testing.T) {
	t.Parallel()
	issuer, other := newFakeIssuer(t), newFakeIssuer(t)
	now, store := epoch, &identities{used: map[string]bool{}}
	w := workloads(t, store, &now,
		issuer.rule(func(r *auth.WorkloadRule) { r.Audience, r.User = "nobody's", "nobody" }),
		issuer.rule(nil))
	text := issuer.token(t, nil)
	got, err := w.Exchange(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if !auth.IsAccessToken(got.Text) || got.UserID != 7 || !got.ExpiresAt.Equal(epoch.Add(30*time.Minute)) || got.Scopes()[0].String() != "repository:acme/*:pull,push,delete" ||
		got.Identity != issuer.URL+" repo:acme/m:ref:refs/heads/main" {
		t.Errorf("exchanged for %+v", got)
	}
	refused := func(name, text, reason string) {
		t.Helper()
		got, err := w.Exchange(t.Context(), text)
		var why *auth.IdentityError
		if !errors.Is(err, auth.ErrCredentials) || !errors.As(err, &why) || !strings.Contains(why.Reason, reason) || got.Text != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	refused("the same again", text, "exchanged before")

	pub, err := x509.MarshalPKIXPublicKey(&issuer.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
	with := func(name string, value any) string {
		return issuer.token(t, func(c jwt.MapClaims) { c[name] = value })
	}
	without := func(name string) string {
		return issuer.token(t, func(c jwt.MapClaims) { delete(c, name) })
	}
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	part := strings.Split(issuer.token(t, nil), ".")
	const signature = "signature or its times"
	refused("nothing", "", "no JSON Web Token")
	refused("two parts", part[0]+"."+part[1], "no JSON Web Token")
	refused("not base64", part[0]+".!."+part[2], "no JSON Web Token")
	refused("not JSON", part[0]+"."+base64.RawURLEncoding.EncodeToString([]byte("x"))+"."+part[2], "no JSON Web Token")
	refused("long", issuer.token(t, func(c jwt.MapClaims) { c["x"] = strings.Repeat("x", 20000) }), "longer than")
	refused("no signature", part[0]+"."+part[1]+".", signature)
	refused("another signature", part[0]+"."+part[1]+"."+strings.Split(issuer.token(t, nil), ".")[2], signature)
	refused("alg none", sealed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "one", issuer.claims(nil)), signature)
	refused("HS256 with the public key", sealed(t, jwt.SigningMethodHS256, pemKey, "one", issuer.claims(nil)), signature)
	refused("another key under the same id", sealed(t, jwt.SigningMethodRS256, other.key, "one", issuer.claims(nil)), signature)
	refused("another key under another id", sealed(t, jwt.SigningMethodRS256, other.key, "two", issuer.claims(nil)), signature)
	refused("a key that it brings along", sealed(t, jwt.SigningMethodRS256, other.key, "two", issuer.claims(nil), "jku", other.URL+"/keys"), signature)
	refused("an issuer without a rule", other.token(t, nil), "not one that this hub trusts")
	refused("an issuer with a slash", with("iss", issuer.URL+"/"), "not one that this hub trusts")
	refused("our issuer, signed by another", sealed(t, jwt.SigningMethodRS256, other.key, "one", other.claims(func(c jwt.MapClaims) { c["iss"] = issuer.URL })), signature)
	refused("another audience", with("aud", "sts.example.com"), "no rule for its audience")
	refused("several audiences", with("aud", []string{"hub", "other"}), "2 audiences")
	refused("no audience", without("aud"), "0 audiences")
	refused("another subject", with("sub", "repo:evil/m:ref:refs/heads/main"), "no rule for its subject")
	refused("more segments in the place of *", with("sub", "repo:acme/m:pull_request:x/y:ref:refs/heads/main"), "no rule for its subject")
	refused("a subject that goes on", with("sub", "repo:acme/m:ref:refs/heads/main2"), "no rule for its subject")
	refused("a subject with a line", with("sub", "repo:acme/m:ref:refs/heads/main\n"), "no rule for its subject")
	refused("a subject that begins before", with("sub", "x:repo:acme/m:ref:refs/heads/main"), "no rule for its subject")
	refused("no subject", without("sub"), "no subject")
	refused("a long subject", with("sub", strings.Repeat("s", 600)), "no subject")
	refused("another claim", with("owner_id", "43"), "with its claims")
	refused("a claim as a list", with("owner_id", []string{"42"}), "with its claims")
	refused("no claim", without("owner_id"), "with its claims")
	refused("a claim not true", with("protected", false), "with its claims")
	refused("expired", with("exp", at(-time.Second)), "expired")
	refused("no expiry", without("exp"), "expired")
	refused("holds for days", with("exp", at(25*time.Hour)), "holds longer")
	refused("of the future", with("nbf", at(10*time.Minute)), signature)
	refused("issued in the future", with("iat", at(10*time.Minute)), "not of today")
	refused("issued long ago", with("iat", at(-25*time.Hour)), "not of today")
	refused("no time", without("iat"), "not of today")
	refused("a user who does not exist", with("aud", "nobody's"), "a user who does not exist")
	if len(store.made) != 1 {
		t.Errorf("%d tokens were made", len(store.made))
	}
	// Whatever was sent, the issuer was asked for its keys no more than was needed
	// for an id that nobody knew, and the other one never.
	if a, b := issuer.seen(), other.seen(); a > 2 || b != 0 {
		t.Errorf("%d and %d requests", a, b)
	}
	now = now.Add(11 * time.Second)
	if _, err := w.Exchange(t.Context(), issuer.token(t, nil)); err != nil {
		t.Errorf("another one of the same job: %v", err)
	}
	// One token at the same time is exchanged once.
	text, wins := issuer.token(t, nil), make(chan bool, 8)
	for range cap(wins) {
		go func() {
			_, err := w.Exchange(context.WithoutCancel(t.Context()), text)
			wins <- err == nil
		}()
	}
	n := 0
	for range cap(wins) {
		if <-wins {
			n++
		}
	}
	if n != 1 {
		t.Errorf("exchanged %d times", n)
	}
}

// An issuer that is away, or that plays tricks, is not the fault of the token.
func TestExchangeWithoutIssuer(t *testing.T) {
	t.Parallel()
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("an address was asked that no rule names") }))
	t.Cleanup(secret.Close)
	document := func(text string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, strings.ReplaceAll(text, "SELF", "http://"+r.Host))
			return true
		}
	}
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"away": func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true },
		"redirects": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, secret.URL, http.StatusFound)
			return true
		},
		"no JSON":          document("<html>"),
		"no keys":          document(`{"issuer":"SELF"}`),
		"another issuer":   document(`{"issuer":"https://example.com","jwks_uri":"SELF/keys"}`),
		"keys in a file":   document(`{"issuer":"SELF","jwks_uri":"file:///etc/passwd"}`),
		"keys in metadata": document(`{"issuer":"SELF","jwks_uri":"http://169.254.169.254/latest"}`),
		"no end": func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprint(w, `{"issuer":"`+strings.Repeat("x", 2<<20))
			return true
		},
		"keys redirect": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				http.Redirect(w, r, secret.URL, http.StatusFound)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := newFakeIssuer(t)
			issuer.answer = answer
			now := epoch
			w := workloads(t, &identities{used: map[string]bool{}}, &now, issuer.rule(nil))
			for range 5 {
				if got, err := w.Exchange(t.Context(), issuer.token(t, nil)); !errors.Is(err, auth.ErrIssuer) || errors.Is(err, auth.ErrCredentials) {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if n := issuer.seen(); n > 2 {
				t.Errorf("it was asked %d times", n)
			}
			issuer.mu.Lock()
			issuer.answer = nil
			issuer.mu.Unlock()
			if now = now.Add(10 * time.Second); strings.HasPrefix(name, "keys in") {
				return // it said where they are, and that is kept
			}
			if _, err := w.Exchange(t.Context(), issuer.token(t, nil)); err != nil {
				t.Errorf("when it is there again: %v", err)
			}
		})
	}
}

func TestWorkloadRules(t *testing.T) {
	t.Parallel()
	good := auth.WorkloadRule{Issuer: "https://ci.example", Audience: "hub", Subject: "job", User: "ci", Repositories: []string{"acme/*"}, Access: "read"}
	text, err := json.Marshal(map[string]any{"rules": []auth.WorkloadRule{good}})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := auth.ParseWorkloadRules(text)
	if err != nil || len(rules) != 1 {
		t.Fatalf("%+v, %v", rules, err)
	}
	if _, err := auth.NewWorkloads(auth.WorkloadOptions{Rules: rules, Store: &identities{}}); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(r *auth.WorkloadRule){
		"no issuer":         func(r *auth.WorkloadRule) { r.Issuer = "" },
		"http":              func(r *auth.WorkloadRule) { r.Issuer = "http://ci.example" },
		"a file":            func(r *auth.WorkloadRule) { r.Issuer = "file:///etc" },
		"no host":           func(r *auth.WorkloadRule) { r.Issuer = "https://" },
		"a user":            func(r *auth.WorkloadRule) { r.Issuer = "https://a:b@ci.example" },
		"a query":           func(r *auth.WorkloadRule) { r.Issuer = "https://ci.example?x" },
		"no audience":       func(r *auth.WorkloadRule) { r.Audience = "" },
		"no user":           func(r *auth.WorkloadRule) { r.User = "" },
		"no subject":        func(r *auth.WorkloadRule) { r.Subject = "" },
		"every subject":     func(r *auth.WorkloadRule) { r.Subject = "*" },
		"most subjects":     func(r *auth.WorkloadRule) { r.Subject = "*:ref:refs/heads/main" },
		"no repositories":   func(r *auth.WorkloadRule) { r.Repositories = nil },
		"a bad pattern":     func(r *auth.WorkloadRule) { r.Repositories = []string{"acme"} },
		"no access":         func(r *auth.WorkloadRule) { r.Access = "" },
		"another access":    func(r *auth.WorkloadRule) { r.Access = "admin" },
		"a short lifetime":  func(r *auth.WorkloadRule) { r.Lifetime = "1s" },
		"a long lifetime":   func(r *auth.WorkloadRule) { r.Lifetime = "25h" },
		"a lifetime of 1 d": func(r *auth.WorkloadRule) { r.Lifetime = "1d" },
	} {
		r := good
		edit(&r)
		if _, err := auth.NewWorkloads(auth.WorkloadOptions{Rules: []auth.WorkloadRule{r}, Store: &identities{}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, text := range []string{"", "[]", `{"rules":[{"issuers":"x"}]}`, `{"rules":[]} x`, `{"rules":{}}`} {
		if _, err := auth.ParseWorkloadRules([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := auth.NewWorkloads(auth.WorkloadOptions{}); err == nil {
		t.Error("no store")
	}
}

func FuzzExchange(f *testing.F) {
	now := epoch
	w, err := auth.NewWorkloads(auth.WorkloadOptions{
		Rules: []auth.WorkloadRule{{Issuer: "http://127.0.0.1:1", Audience: "hub", Subject: "job", User: "ci", Repositories: []string{"acme/*"}, Access: "read"}},
		Store: &identities{used: map[string]bool{}}, Clock: func() time.Time { return now },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("e30.e30.")
	f.Add("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"http://127.0.0.1:1"}`)) + ".e30")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := w.Exchange(t.Context(), text); !errors.Is(err, auth.ErrCredentials) && !errors.Is(err, auth.ErrIssuer) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	})
}
