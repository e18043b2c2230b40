package auth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
)

var (
	seed  = bytes.Repeat([]byte{7}, auth.SeedLen)
	epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func newKeys(t testing.TB, store *authtest.KeyStore, now *time.Time) *auth.Keys {
	t.Helper()
	k, err := auth.NewKeys(context.Background(), auth.KeyOptions{Store: store, Clock: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signer returns one whose only key is made of seed.
func signer(t testing.TB, now *time.Time) *auth.Signer {
	t.Helper()
	return signerWith(t, newKeys(t, authtest.NewKeyStore(auth.Key{Serial: 1, Seed: seed, CreatedAt: epoch, SignsFrom: epoch}), now), now)
}

func signerWith(t testing.TB, keys *auth.Keys, now *time.Time) *auth.Signer {
	t.Helper()
	s, err := auth.NewSigner(auth.TokenOptions{Keys: keys, Issuer: "carat", Audience: "carat", Clock: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestToken(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	scopes := []auth.Scope{{Type: "repository", Name: "acme/llama", Actions: []string{"pull", "push"}}}
	for name, p := range map[string]auth.Principal{
		"anonymous": {},
		"user":      {UserID: 2, Name: "user"},
		"admin":     {UserID: 1, Name: "admin", Admin: true},
	} {
		tok, err := s.Sign(p, scopes, 5*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		// Another node has the same seed and its own signer.
		got, err := signer(t, &now).Verifier().Verify(t.Context(), tok.Text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := p
		want.Limited, want.Scopes = true, scopes
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTokenTimes(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	tok, err := s.Sign(auth.Principal{UserID: 1, Name: "a"}, nil, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after time.Duration
		ok    bool
	}{
		{0, true},
		{5*time.Minute - time.Second, true},
		{5*time.Minute + 4*time.Second, true}, // clocks may differ
		{5*time.Minute + 6*time.Second, false},
		{-4 * time.Second, true},
		{-6 * time.Second, false},
		{1000 * time.Hour, false},
	} {
		now = epoch.Add(tc.after)
		if _, err := s.Verifier().Verify(t.Context(), tok.Text); (err == nil) != tc.ok {
			t.Errorf("%s after issue: %v", tc.after, err)
		}
	}
}

// A token ends with the credential that it was given for.
func TestTokenUntil(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	for _, tc := range []struct {
		until time.Time
		want  time.Duration
	}{
		{time.Time{}, time.Hour},
		{epoch.Add(2 * time.Hour), time.Hour},
		{epoch.Add(90*time.Second + time.Millisecond), 90 * time.Second},
	} {
		tok, err := s.Sign(auth.Principal{UserID: 1, Name: "a", Until: tc.until}, nil, time.Hour)
		if err != nil || tok.TTL != tc.want {
			t.Errorf("until %s: %s, %v", tc.until, tok.TTL, err)
		}
	}
}

func TestTokenTooLong(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	full := make([]auth.Scope, auth.MaxScopes)
	for i := range full {
		full[i] = auth.Scope{Type: "repository", Name: fmt.Sprintf("%0255d", i), Actions: []string{"pull", "push", "delete"}}
	}
	tok, err := s.Sign(auth.Principal{UserID: 1, Name: strings.Repeat("n", 100)}, full, time.Minute)
	if err != nil {
		t.Fatalf("the most scopes there may be do not fit: %v", err)
	}
	if _, err := s.Verifier().Verify(t.Context(), tok.Text); err != nil {
		t.Error(err)
	}
	if _, err := s.Sign(auth.Principal{}, append(full, full...), time.Minute); !errors.Is(err, auth.ErrScope) {
		t.Errorf("overlong token: %v", err)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	t.Parallel()
	now := epoch
	keys := newKeys(t, authtest.NewKeyStore(), &now)
	for name, o := range map[string]auth.TokenOptions{
		"no keys":     {Issuer: "a", Audience: "b"},
		"no issuer":   {Keys: keys, Audience: "b"},
		"no audience": {Keys: keys, Issuer: "a"},
	} {
		if _, err := auth.NewSigner(o); err == nil {
			t.Error(name)
		}
	}
	if _, err := signerWith(t, keys, &now).Sign(auth.Principal{}, nil, 2*time.Hour); err == nil {
		t.Error("a token that outlives its key")
	}
}

// TestTokenAttacks starts from a good token and breaks one thing at a time.
func TestTokenAttacks(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	good, err := s.Sign(auth.Principal{UserID: 1, Name: "admin", Admin: true}, nil, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good.Text, ".")
	key := ed25519.NewKeyFromSeed(seed)
	pub := key.Public().(ed25519.PublicKey)
	foreign := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, auth.SeedLen))

	// forge signs the good header and claims after an edit, with our own key
	// unless another method is given: what is refused is the content.
	type object = map[string]any
	forge := func(method jwt.SigningMethod, key any, edit func(header, claims object)) string {
		header, claims := decodePart(t, part[0]), decodePart(t, part[1])
		if edit != nil {
			edit(header, claims)
		}
		header["alg"] = method.Alg()
		text := encodePart(t, header) + "." + encodePart(t, claims)
		sig, err := method.Sign(text, key)
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	ours := func(edit func(header, claims object)) string { return forge(jwt.SigningMethodEdDSA, key, edit) }
	header := func(name string, v any) string { return ours(func(h, _ object) { h[name] = v }) }
	claim := func(name string, v any) string { return ours(func(_, c object) { c[name] = v }) }
	without := func(name string) string { return ours(func(_, c object) { delete(c, name) }) }
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }

	v := s.Verifier()
	if _, err := v.Verify(t.Context(), ours(nil)); err != nil {
		t.Fatalf("the forger's own way fails: %v", err)
	}
	for name, text := range map[string]string{
		"empty":                      "",
		"one dot":                    ".",
		"two dots":                   "..",
		"no signature":               part[0] + "." + part[1] + ".",
		"two parts":                  part[0] + "." + part[1],
		"four parts":                 good.Text + ".x",
		"million dots":               strings.Repeat(".", 1_000_000),
		"one megabyte":               part[0] + "." + strings.Repeat("A", 1<<20) + "." + part[2],
		"one byte over the limit":    good.Text + strings.Repeat("A", auth.MaxTokenLen+1-len(good.Text)),
		"padding":                    part[0] + "." + part[1] + "." + part[2] + "==",
		"space in front":             " " + good.Text,
		"other signature":            part[0] + "." + part[1] + "." + strings.Repeat("A", len(part[2])),
		"changed claims":             part[0] + "." + encodePart(t, object{"sub": "root"}) + "." + part[2],
		"not JSON":                   base64.RawURLEncoding.EncodeToString([]byte("x")) + "." + part[1] + "." + part[2],
		"alg none":                   forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg None":                   encodePart(t, object{"alg": "None", "typ": "JWT", "kid": decodePart(t, part[0])["kid"]}) + "." + part[1] + ".",
		"no alg":                     encodePart(t, object{"typ": "JWT", "kid": decodePart(t, part[0])["kid"]}) + "." + part[1] + "." + part[2],
		"HS256 with the public key":  forge(jwt.SigningMethodHS256, []byte(pub), nil),
		"HS256 with public key text": forge(jwt.SigningMethodHS256, []byte(base64.RawURLEncoding.EncodeToString(pub)), nil),
		"HS512 with the public key":  forge(jwt.SigningMethodHS512, []byte(pub), nil),
		"foreign key, our kid":       forge(jwt.SigningMethodEdDSA, foreign, nil),
		"no kid":                     ours(func(h, _ object) { delete(h, "kid") }),
		"unknown kid":                header("kid", "other"),
		"kid traversal":              header("kid", "../../../../dev/null"),
		"kid SQL":                    header("kid", "x' OR '1'='1"),
		"kid a number":               header("kid", 0),
		"kid a list":                 header("kid", []string{"a"}),
		"kid null":                   header("kid", nil),
		"jwk header": header("jwk", object{
			"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(foreign.Public().(ed25519.PublicKey)),
		}),
		"jku header":        header("jku", "http://127.0.0.1/keys"),
		"x5c header":        header("x5c", []string{"AAAA"}),
		"x5u header":        header("x5u", "http://127.0.0.1/cert"),
		"x5t header":        header("x5t", "AAAA"),
		"crit header":       header("crit", []string{"exp"}),
		"b64 header":        header("b64", false),
		"zip header":        header("zip", "DEF"),
		"typ of another":    header("typ", "at+jwt"),
		"wrong issuer":      claim("iss", "carat2"),
		"no issuer":         without("iss"),
		"wrong audience":    claim("aud", "other"),
		"several audiences": claim("aud", []string{"carat", "other"}),
		"no audience":       without("aud"),
		"expired":           claim("exp", at(-time.Minute)),
		"no expiry":         without("exp"),
		"expiry a word":     claim("exp", "never"),
		"future nbf":        claim("nbf", at(time.Minute)),
		"no nbf":            without("nbf"),
		"future iat":        claim("iat", at(time.Minute)),
		"admin nobody":      ours(func(_, c object) { delete(c, "uid") }),
		"negative user":     claim("uid", -1),
		"user a word":       claim("uid", "1"),
		"too many scopes":   claim("access", make([]auth.Scope, auth.MaxScopes+1)),
		"access a word":     claim("access", "*"),
	} {
		p, err := v.Verify(t.Context(), text)
		if !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%s: %+v, %v", name, p, err)
			continue
		}
		if diff := cmp.Diff(auth.Principal{}, p); diff != "" {
			t.Errorf("%s: principal with an error: %s", name, diff)
		}
		if len(err.Error()) > 120 || strings.Contains(err.Error(), "dev/null") {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	now := epoch
	s := signer(f, &now)
	tok, err := s.Sign(auth.Principal{UserID: 1, Name: "a"}, nil, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{tok.Text, "", "a.b.c", "e30.e30.", strings.Repeat(".", 100)} {
		f.Add(text)
	}
	v := s.Verifier()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := v.Verify(t.Context(), text)
		if err == nil && text != tok.Text {
			t.Errorf("a token that was never signed is good: %+v", p)
		}
		if err != nil && !errors.Is(err, auth.ErrCredentials) {
			t.Error(err)
		}
	})
}

func decodePart(t *testing.T, s string) map[string]any {
	t.Helper()
	p, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func encodePart(t *testing.T, v any) string {
	t.Helper()
	p, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(p)
}

// A token that was found good once is looked at again in all that can change:
// the time, and whether its key still verifies. One that differs in any bit is another.
func TestVerifyAgain(t *testing.T) {
	t.Parallel()
	now := epoch
	keys := newKeys(t, authtest.NewKeyStore(auth.Key{Serial: 1, Seed: seed, CreatedAt: epoch, SignsFrom: epoch}), &now)
	s := signerWith(t, keys, &now)
	v := s.Verifier()
	p := auth.Principal{UserID: 2, Name: "user", Roles: auth.Roles{"acme": auth.Writer}}
	made, err := s.Sign(p, []auth.Scope{{Type: auth.TypeRepository, Name: "acme/llama", Actions: []string{"pull"}}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	first, err := v.Verify(t.Context(), made.Text)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		at   time.Time
		good bool
	}{
		"before its time": {epoch.Add(-6 * time.Second), false},
		"within leeway":   {epoch.Add(-5 * time.Second), true},
		"near its end":    {epoch.Add(64 * time.Second), true},
		"after its end":   {epoch.Add(66 * time.Second), false},
	} {
		now = tc.at
		fresh, ferr := s.Verifier().Verify(t.Context(), made.Text)
		again, err := v.Verify(t.Context(), made.Text)
		if (err == nil) != tc.good || (ferr == nil) != tc.good {
			t.Errorf("%s: again %v, for the first time %v", name, err, ferr)
		}
		if diff := cmp.Diff(fresh, again); diff != "" {
			t.Errorf("%s (-first +again):\n%s", name, diff)
		}
	}
	now = epoch
	if diff := cmp.Diff(auth.Roles{"acme/llama": auth.Writer}, first.Roles); diff != "" {
		t.Error(diff)
	}
	for i := range made.Text {
		changed := []byte(made.Text)
		changed[i] ^= 1
		if _, err := v.Verify(t.Context(), string(changed)); !errors.Is(err, auth.ErrCredentials) {
			t.Fatalf("with another byte %d: %v", i, err)
		}
	}
	if err := keys.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), made.Text); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("after its key was dropped: %v", err)
	}
}

// However many tokens there are, each is judged rightly.
func TestVerifyMany(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	v := s.Verifier()
	for i := range 2500 {
		made, err := s.Sign(auth.Principal{UserID: int64(i + 1), Name: "user"}, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if p, err := v.Verify(t.Context(), made.Text); err != nil || p.UserID != int64(i+1) {
				t.Fatalf("token %d: %+v, %v", i, p, err)
			}
		}
		now = now.Add(50 * time.Millisecond)
	}
}
