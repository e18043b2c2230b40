package oidctest_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/carat-hub/carat/internal/oidctest"
)

func TestIDToken(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t, []string{"one", "two"}, []string{"repo:acme/m:ref:refs/heads/main"})
	part := strings.Split(p.IDToken(t, "two", "repo:acme/m:ref:refs/heads/main"), ".")
	if len(part) != 3 {
		t.Fatalf("token of %d parts", len(part))
	}
	text, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil || claims["iss"] != p.Issuer || claims["sub"] != "repo:acme/m:ref:refs/heads/main" {
		t.Errorf("claims %s: %v", text, err)
	}
	t.Logf("%s", text)
}
