package auth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
)

// TestRotation follows two nodes through the life of a key.
func TestRotation(t *testing.T) {
	t.Parallel()
	ctx, now, store := t.Context(), epoch, authtest.NewKeyStore()
	a, b := newKeys(t, store, &now), newKeys(t, store, &now)
	node, other := signerWith(t, a, &now), signerWith(t, b, &now).Verifier()
	sign := func() string {
		t.Helper()
		tok, err := node.Sign(auth.Principal{UserID: 1, Name: "a"}, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return tok.Text
	}
	good := func(what, text string) {
		t.Helper()
		if _, err := other.Verify(ctx, text); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refresh := func() {
		t.Helper()
		for _, k := range []*auth.Keys{a, b} {
			if err := k.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	kid := func(text string) any { return decodePart(t, strings.Split(text, ".")[0])["kid"] }

	first := sign()
	good("the first key", first)
	now = now.Add(30*24*time.Hour - time.Second)
	refresh()
	if len(a.List()) != 1 {
		t.Fatalf("rotated early: %+v", a.List())
	}
	now = now.Add(time.Second)
	refresh()
	published := a.JWKS()["keys"]
	if len(published) != 2 || store.Len() != 2 {
		t.Fatalf("published %+v, stored %d", published, store.Len())
	}
	now = now.Add(15*time.Minute - time.Second)
	last := sign()
	if kid(last) != kid(first) || kid(last) != published[0].ID {
		t.Error("a key signs that was published too short a time ago")
	}
	now = now.Add(time.Second)
	second := sign()
	if kid(second) != published[1].ID {
		t.Error("the new key does not sign")
	}
	good("the new key", second)
	now = now.Add(time.Hour - time.Second)
	refresh()
	good("the last token of the old key", last)
	now = now.Add(12 * time.Second)
	refresh()
	if list := a.List(); len(list) != 1 || list[0].ID != published[1].ID || store.Len() != 1 {
		t.Errorf("the old key is left: %+v", list)
	}
	if _, err := other.Verify(ctx, last); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("a token of a key that ended: %v", err)
	}
}

func TestRotateAndDrop(t *testing.T) {
	t.Parallel()
	ctx, now, store := t.Context(), epoch, authtest.NewKeyStore()
	a, b := newKeys(t, store, &now), newKeys(t, store, &now)
	node, other := signerWith(t, a, &now), signerWith(t, b, &now).Verifier()
	old, err := node.Sign(auth.Principal{}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Rotate(ctx); !errors.Is(err, auth.ErrRotating) {
		t.Errorf("rotated twice: %v", err)
	}
	if list := a.List(); len(list) != 2 || list[0].Signs || list[0].SignsFrom != now.Add(15*time.Minute) || !list[1].Signs {
		t.Errorf("keys %+v", list)
	}
	if err := a.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	if list := a.List(); len(list) != 1 || !list[0].Signs {
		t.Errorf("keys %+v", list)
	}
	if _, err := node.Verifier().Verify(ctx, old.Text); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("a token of a removed key: %v", err)
	}
	// Another node hears of the fresh key as soon as a token of it comes, and of
	// the old one's end with it.
	now = now.Add(time.Second)
	fresh, err := node.Sign(auth.Principal{}, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(ctx, fresh.Text); err != nil {
		t.Errorf("a token of the fresh key: %v", err)
	}
	if _, err := other.Verify(ctx, old.Text); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("a token of a removed key, elsewhere: %v", err)
	}
}

// Tokens that are made up do not have the store read more than once a second.
func TestUnknownKeyIDs(t *testing.T) {
	t.Parallel()
	now, store := epoch, authtest.NewKeyStore()
	keys := newKeys(t, store, &now)
	v := signerWith(t, keys, &now).Verifier()
	foreign := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, auth.SeedLen))
	forged := func(kid string) string {
		tok := jwt.New(jwt.SigningMethodEdDSA)
		tok.Header["kid"] = kid
		text, err := tok.SignedString(foreign)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	now = now.Add(time.Minute)
	before := store.Reads()
	for range 100 {
		for _, kid := range []string{"AAAAAAAAAAAAAAAA", "../../x", strings.Repeat("a", 4000), "'; DROP TABLE token_keys; --", ""} {
			if _, err := v.Verify(t.Context(), forged(kid)); !errors.Is(err, auth.ErrCredentials) {
				t.Fatal(err)
			}
		}
	}
	if n := store.Reads() - before; n != 1 {
		t.Errorf("the store was read %d times", n)
	}
	store.Fail(errors.New("away"))
	for range 3 {
		now = now.Add(time.Minute)
		if _, err := v.Verify(t.Context(), forged("AAAAAAAAAAAAAAAA")); !errors.Is(err, auth.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if len(keys.List()) != 1 {
		t.Error("the keys are forgotten while the store is away")
	}
}

func TestNewKeysRefuses(t *testing.T) {
	t.Parallel()
	away := authtest.NewKeyStore()
	away.Fail(errors.New("away"))
	for name, o := range map[string]auth.KeyOptions{
		"no store":    {},
		"short age":   {Store: authtest.NewKeyStore(), Age: time.Minute},
		"short seed":  {Store: authtest.NewKeyStore(auth.Key{Serial: 1, Seed: seed[1:], SignsFrom: time.Now()})},
		"all ended":   {Store: authtest.NewKeyStore(auth.Key{Serial: 1, Seed: seed, SignsFrom: time.Now(), EndsAt: time.Now()})},
		"store fails": {Store: away},
	} {
		if _, err := auth.NewKeys(context.Background(), o); err == nil {
			t.Error(name)
		}
	}
	if a, b := auth.NewSeed(), auth.NewSeed(); len(a) != auth.SeedLen || bytes.Equal(a, b) {
		t.Error("seeds are not random")
	}
}

// What is published verifies a token by the rules of others.
func TestJWKS(t *testing.T) {
	t.Parallel()
	now := epoch
	s := signer(t, &now)
	tok, err := s.Sign(auth.Principal{UserID: 1, Name: "a"}, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(base64.RawURLEncoding.EncodeToString(seed))) {
		t.Fatal("the seed is published")
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	_, err = jwt.Parse(tok.Text, func(parsed *jwt.Token) (any, error) {
		k := set.Keys[0]
		if k["kid"] != parsed.Header["kid"] || k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["alg"] != parsed.Header["alg"] || k["use"] != "sig" {
			t.Errorf("key %v for %v", k, parsed.Header)
		}
		x, err := base64.RawURLEncoding.DecodeString(k["x"])
		return ed25519.PublicKey(x), err
	}, jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		t.Error(err)
	}
}
