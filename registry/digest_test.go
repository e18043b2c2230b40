package registry

import (
	"strings"
	"testing"
)

func TestParseDigest(t *testing.T) {
	t.Parallel()
	hex64, hex128 := strings.Repeat("0a", 32), strings.Repeat("0a", 64)
	for _, s := range []string{"sha256:" + hex64, "sha512:" + hex128} {
		d, err := ParseDigest(s)
		if err != nil || d.String() != s || string(d.Algorithm())+":"+d.Hex() != s {
			t.Errorf("%s: %v, %v", s, d, err)
		}
	}
	for _, s := range []string{
		"", ":", "sha256", "sha256:", "sha256:" + hex64[1:], "sha256:" + hex64 + "0", "sha256:" + hex128, "sha512:" + hex64,
		"SHA256:" + hex64, "sha256:" + strings.ToUpper(hex64), "sha256-" + hex64, "sha384:" + strings.Repeat("0a", 48), "md5:" + hex64,
		"sha256:" + strings.Repeat(".", 64), "sha256:../" + hex64[3:], "sha256:" + hex64[:63] + "\x00", "sha256:" + hex64[:63] + "/",
		"sha256:" + hex64[:63] + "\n", " sha256:" + hex64, "sha256:" + hex64 + " ", "sha256:sha256:" + hex64[7:], "sha256:" + hex64[:62] + "é",
		"sha256:" + hex64[:63] + "g", "sha256:" + hex64[:63] + "\\", "sha256:%2e" + hex64[3:],
	} {
		if d, err := ParseDigest(s); !IsCode(err, CodeDigestInvalid) || !d.IsZero() {
			t.Errorf("%q: %v, %v", s, d, err)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0a", 32))
	f.Add("sha512:../..")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if err != nil {
			return
		}
		if d.String() != s || strings.Trim(d.Hex(), "0123456789abcdef") != "" || len(d.Hex()) != d.Algorithm().hexLen() {
			t.Errorf("%q parsed as %q", s, d)
		}
	})
}
