package registry

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "org/model", "a.b_c__d-e---f/0", "a/b/c/d", strings.Repeat("x", 255)} {
		if n, err := ParseName(s); err != nil || string(n) != s {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
	for _, s := range []string{
		"", "/", "/a", "a/", "a//b", "A/b", "a/B", ".a", "a.", "a..b", "_a", "a_", "a___b", "-a", "a-", "a/../b", "../a", "a b", "a%2fb",
		"a\\b", "é/b", "a/b:c", "a\x00", strings.Repeat("x", 256),
	} {
		if n, err := ParseName(s); !IsCode(err, CodeNameInvalid) || n != "" {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
}

func TestNameSplit(t *testing.T) {
	t.Parallel()
	for s, want := range map[Name][3]string{"org/model": {"org", "model", "yes"}, "one": {"one", "", ""}, "a/b/c": {"a", "b/c", ""}} {
		org, model, ok := s.Split()
		if org != want[0] || model != want[1] || ok != (want[2] == "yes") {
			t.Errorf("%s: %q, %q, %v", s, org, model, ok)
		}
	}
}

func TestParseReference(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, s := range []string{"latest", "V1.0_x-y", "_", strings.Repeat("x", 128), digest} {
		if r, err := ParseReference(s); err != nil || r.String() != s || (r.Tag == "") == r.Digest.IsZero() {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
	for s, code := range map[string]Code{
		"": CodeTagInvalid, ".x": CodeTagInvalid, "-x": CodeTagInvalid, "a/b": CodeTagInvalid, "a b": CodeTagInvalid, "é": CodeTagInvalid,
		strings.Repeat("x", 129): CodeTagInvalid, "sha256:x": CodeDigestInvalid, "a:b": CodeDigestInvalid,
	} {
		if _, err := ParseReference(s); !IsCode(err, code) {
			t.Errorf("%q: %v, want %s", s, err, code)
		}
	}
}
