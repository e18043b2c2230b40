package storage_test

import (
	"strings"
	"testing"

	"github.com/carat-hub/carat/storage"
)

func TestNewKey(t *testing.T) {
	t.Parallel()
	seen := make(map[storage.Key]bool)
	for range 1000 {
		key := storage.NewKey()
		if seen[key] {
			t.Fatalf("%s came twice", key)
		}
		seen[key] = true
		if parsed, err := storage.ParseKey(string(key)); parsed != key || err != nil {
			t.Fatalf("ParseKey(%s) = %s, %v", key, parsed, err)
		}
		if len(key.ID()) != 36 || key != storage.Key("objects/"+key.ID()) {
			t.Fatalf("ID of %s is %s", key, key.ID())
		}
	}
}

// FuzzParseKey holds every key that is accepted to the one spelling that is
// safe as a path and as an S3 key.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"objects/0199f0f0-0000-7000-8000-000000000000",
		"objects/0199F0F0-0000-7000-8000-000000000000",
		"objects/urn:uuid:0199f0f0-0000-7000-8000-000000000000",
		"objects/0199f0f0000070008000000000000000",
		"objects/../x", "/objects/", "", "objects/\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := storage.ParseKey(s)
		if err != nil {
			if key != "" {
				t.Fatalf("ParseKey(%q) = %q with an error", s, key)
			}
			return
		}
		if string(key) != s || len(key.ID()) != 36 || strings.Trim(key.ID(), "0123456789abcdef-") != "" {
			t.Fatalf("ParseKey(%q) = %q", s, key)
		}
	})
}
