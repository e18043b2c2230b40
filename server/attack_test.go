package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/registry"
)

// pulls is a route that answers who may pull.
func pulls(e *echo.Echo) {
	access := NewAccess(repositories{"closed/model": auth.Private, "closed/other": auth.Private, "open/model": auth.Public})
	e.GET("/v2/:org/:name/manifests/:reference", func(c echo.Context) error {
		if _, err := access.Authorize(c, registry.Name(c.Param("org")+"/"+c.Param("name")), auth.Pull); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	})
}

// TestTokenAttacks sends tokens that are wrong in one way each to the registry's API.
func TestTokenAttacks(t *testing.T) {
	t.Parallel()
	r := setup(t, pulls)
	admin := auth.Principal{UserID: 1, Name: "admin", Admin: true}
	good := r.bearer(admin, "repository:closed/model:pull")
	part := strings.Split(strings.TrimPrefix(good, "Bearer "), ".")
	private := ed25519.NewKeyFromSeed(tokenSeed)
	pub := private.Public().(ed25519.PublicKey)

	type object = map[string]any
	open := func(i int) object {
		p, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(p))
		d.UseNumber()
		var o object
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	seal := func(header, claims object, sign func(text []byte) []byte) string {
		var text []string
		for _, o := range []object{header, claims} {
			p, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, base64.RawURLEncoding.EncodeToString(p))
		}
		body := strings.Join(text, ".")
		return "Bearer " + body + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(body)))
	}
	ours := func(text []byte) []byte { return ed25519.Sign(private, text) }
	none := func([]byte) []byte { return nil }
	hs256 := func(secret []byte) func([]byte) []byte {
		return func(text []byte) []byte {
			m := hmac.New(sha256.New, secret)
			m.Write(text)
			return m.Sum(nil)
		}
	}
	with := func(i int, key string, value any, sign func([]byte) []byte) string {
		parts := []object{open(0), open(1)}
		parts[i][key] = value
		return seal(parts[0], parts[1], sign)
	}
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }

	// A key that signed and was taken away since.
	strangers, keys := authtest.Signer(t, bytes.Repeat([]byte{9}, auth.SeedLen))
	removed := bearerOf(t, strangers, admin)
	if err := keys.Drop(context.Background()); err != nil {
		t.Fatal(err)
	}

	const invalid = `error="invalid_token"`
	for name, tc := range map[string]struct {
		authorization string
		repository    string // closed/model when empty
		status        int
		challenge     string
	}{
		"good":                          {authorization: good, status: 200},
		"good, made by the test":        {authorization: seal(open(0), open(1), ours), status: 200},
		"repository b":                  {authorization: good, repository: "closed/other", status: 401, challenge: `scope="repository:closed/other:pull",error="insufficient_scope"`},
		"repository b, public":          {authorization: good, repository: "open/model", status: 200},
		"alg none":                      {authorization: with(0, "alg", "none", none), status: 401, challenge: invalid},
		"alg nOnE":                      {authorization: with(0, "alg", "nOnE", none), status: 401, challenge: invalid},
		"alg none, signed":              {authorization: with(0, "alg", "none", ours), status: 401, challenge: invalid},
		"HS256 with the public key":     {authorization: with(0, "alg", "HS256", hs256(pub)), status: 401, challenge: invalid},
		"HS256 with the key's JWK text": {authorization: with(0, "alg", "HS256", hs256([]byte(base64.RawURLEncoding.EncodeToString(pub)))), status: 401, challenge: invalid},
		"HS256 with nothing":            {authorization: with(0, "alg", "HS256", hs256(nil)), status: 401, challenge: invalid},
		"wrong audience":                {authorization: with(1, "aud", "other", ours), status: 401, challenge: invalid},
		"several audiences":             {authorization: with(1, "aud", []string{"carat", "other"}, ours), status: 401, challenge: invalid},
		"wrong issuer":                  {authorization: with(1, "iss", "other", ours), status: 401, challenge: invalid},
		"expired":                       {authorization: with(1, "exp", in(-time.Minute), ours), status: 401, challenge: invalid},
		"expires never":                 {authorization: with(1, "exp", nil, ours), status: 401, challenge: invalid},
		"future nbf":                    {authorization: with(1, "nbf", in(time.Minute), ours), status: 401, challenge: invalid},
		"kid of a path":                 {authorization: with(0, "kid", "../../x", ours), status: 401, challenge: invalid},
		"kid of /dev/null":              {authorization: with(0, "kid", "../../../../../dev/null", hs256(nil)), status: 401, challenge: invalid},
		"kid with SQL":                  {authorization: with(0, "kid", "x' UNION SELECT 'key' --", ours), status: 401, challenge: invalid},
		"kid very long":                 {authorization: with(0, "kid", strings.Repeat("a", 5000), ours), status: 401, challenge: invalid},
		"kid a URL":                     {authorization: with(0, "kid", r.url+"/.well-known/jwks.json", ours), status: 401, challenge: invalid},
		"jku":                           {authorization: with(0, "jku", r.url+"/.well-known/jwks.json", ours), status: 401, challenge: invalid},
		"a removed key":                 {authorization: removed, status: 401, challenge: invalid},
		"more claimed":                  {authorization: "Bearer " + part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"admin"}`)) + "." + part[2], status: 401, challenge: invalid},
		"several tokens":                {authorization: good + ", " + good, status: 401, challenge: invalid},
		"Basic":                         {authorization: basic("admin", password), status: 401, challenge: invalid},
		"20 KB":                         {authorization: "Bearer " + strings.Repeat("a", 20<<10), status: 401, challenge: invalid},
		"1 MB":                          {authorization: "Bearer " + strings.Repeat("a", 1<<20), status: 431},
		"1 MB of dots":                  {authorization: "Bearer " + strings.Repeat(".", 1<<20), status: 431},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.repository == "" {
				tc.repository = "closed/model"
			}
			resp, body := r.get("/v2/"+tc.repository+"/manifests/v1", "Authorization", tc.authorization)
			if resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, tc.status, body)
			}
			if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, tc.challenge) {
				t.Errorf("challenge %s", got)
			}
			if tc.status == 401 && code(body) != registry.CodeUnauthorized {
				t.Errorf("body %s", body)
			}
		})
	}
	// Nobody minds afterwards.
	if resp, body := r.get("/v2/closed/model/manifests/v1", "Authorization", good); resp.StatusCode != http.StatusOK {
		t.Errorf("the good token is refused: %s", body)
	}
	// The key is taken away: tokens of it end, and the fresh one's are good.
	if err := r.keys.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp, _ := r.get("/v2/closed/model/manifests/v1", "Authorization", good); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token of a key that was dropped: %d", resp.StatusCode)
	}
	if resp, body := r.get("/v2/closed/model/manifests/v1", "Authorization", r.bearer(admin, "repository:closed/model:pull")); resp.StatusCode != http.StatusOK {
		t.Errorf("a token of the fresh key: %s", body)
	}
}

func bearerOf(t *testing.T, s *auth.Signer, p auth.Principal) string {
	t.Helper()
	tok, err := s.Sign(p, []auth.Scope{{Type: auth.TypeRepository, Name: "closed/model", Actions: []string{"pull"}}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + tok.Text
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	r := setup(t, nil)
	if err := r.keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, body := r.get("/.well-known/jwks.json", "Authorization", "Bearer forged")
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil || resp.StatusCode != http.StatusOK || len(set.Keys) != 2 {
		t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control %q", got)
	}
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k["x"])
		if err != nil || len(x) != ed25519.PublicKeySize || k["d"] != "" {
			t.Errorf("key %v", k)
		}
	}
	if resp, _ := r.send(http.MethodPost, "/.well-known/jwks.json", io.NopCloser(strings.NewReader("")), "Content-Type", "application/json"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}
