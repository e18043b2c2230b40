package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseReference(t *testing.T) {
	t.Parallel()
	d := registry.MustParseDigest(someDigest)
	tests := []struct {
		in   string
		want Reference
	}{
		{"localhost/a/b", Reference{Host: "localhost", Name: "a/b", Tag: "latest"}},
		{"localhost:8080/a/b:v1", Reference{Host: "localhost:8080", Name: "a/b", Tag: "v1"}},
		{"hub:80/a/b", Reference{Host: "hub:80", Name: "a/b", Tag: "latest"}},
		{"Models.Example.org/a/b@" + someDigest, Reference{Host: "models.example.org", Name: "a/b", Digest: d}},
		{"[::1]:5000/a/b:x@" + someDigest, Reference{Host: "[::1]:5000", Name: "a/b", Tag: "x", Digest: d}},
		{"ghcr.io/one", Reference{Host: "ghcr.io", Name: "one", Tag: "latest"}},
		{"ghcr.io/a/b/c/d:1.0-rc_1", Reference{Host: "ghcr.io", Name: "a/b/c/d", Tag: "1.0-rc_1"}},
	}
	for _, tt := range tests {
		got, err := ParseReference(tt.in)
		if err != nil {
			t.Errorf("ParseReference(%q): %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b registry.Digest) bool { return a == b })); diff != "" {
			t.Errorf("ParseReference(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
	for _, in := range []string{
		"", "/", "a", "a/b", "org/model:v1", "http://localhost/a/b", "localhost:/a/b", "localhost:0/a/b", "localhost:99999/a/b", "localhost:080/a/b",
		"localhost:8080", "localhost:8080/", "localhost:8080//b", "localhost:8080/a//b", "localhost:8080/A/b", "localhost:8080/a/b:", "localhost:8080/a/b:x/y",
		"localhost:8080/a/b:x:y", "localhost:8080/a/b@", "localhost:8080/a/b@sha256:00", "localhost:8080/a/../b", "user@localhost:8080/a/b",
		"-x.org/a/b", "x..org/a/b", "[::1/a/b", "[127.0.0.1]/a/b", "[fe80::1%25eth0]/a/b", "[::1]x/a/b", "::1/a/b", "localhost:8080/a/b?x=y",
		"localhost:8080/a/b:" + strings.Repeat("x", 129), "localhost:8080/" + strings.Repeat("a", 900), "exa mple.org/a/b", "ex\x00mple.org/a/b",
	} {
		if got, err := ParseReference(in); err == nil {
			t.Errorf("ParseReference(%q) = %v, want an error", in, got)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "hub.localhost": true, "127.0.0.1:5000": true, "127.9.9.9": true, "[::1]:80": true, "[::1]": true,
		"example.org": false, "10.0.0.1:5000": false, "localhost.example.org": false, "127.0.0.1.example.org:80": false, "notlocalhost": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %v, want %v", host, got, want)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"localhost:8080/a/b:v1", "[::1]:5000/a/b", "ghcr.io/a/b@" + someDigest, "a/b", "x.y/a/b:t@" + someDigest, "x.y:1/a//b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("ParseReference(%q) = %v, which parses to %v, %v", s, ref, again, err)
		}
		if strings.ContainsAny(ref.Host, "/@?#%\\ ") {
			t.Errorf("host of %q is %q", s, ref.Host)
		}
		if err := CheckPortable(ref.Folder()); err != nil && !strings.Contains(err.Error(), "device name") {
			t.Errorf("folder of %q: %v", s, err)
		}
	})
}
