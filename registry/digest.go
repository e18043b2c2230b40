package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Algorithm is a digest algorithm of the OCI image specification.
type Algorithm string

// The registered algorithms.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseAlgorithm returns the algorithm of that name, or an error with code
// CodeDigestInvalid.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", Errorf(CodeDigestInvalid, "digest algorithm %q is not supported; use sha256 or sha512", clip(s))
}

// New returns a fresh hash. Its state can be saved by encoding.BinaryMarshaler.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

func (a Algorithm) hexLen() int {
	if a == SHA512 {
		return 2 * sha512.Size
	}
	return 2 * sha256.Size
}

// Digest names content: algorithm ":" lower-case hex, in exactly the length
// of the algorithm. A value that is not zero was parsed or computed, so it is
// safe to print, compare and store. It is comparable.
type Digest struct{ s string }

// ParseDigest parses a digest, or returns an error with code CodeDigestInvalid.
func ParseDigest(s string) (Digest, error) {
	name, enc, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, Errorf(CodeDigestInvalid, "digest %q has no algorithm", clip(s))
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		return Digest{}, err
	}
	if len(enc) != a.hexLen() {
		return Digest{}, Errorf(CodeDigestInvalid, "%s digest needs %d hexadecimal digits, not %d", a, a.hexLen(), len(enc))
	}
	for i := range len(enc) {
		if c := enc[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, Errorf(CodeDigestInvalid, "digest %q is not lower-case hexadecimal", clip(s))
		}
	}
	return Digest{s}, nil
}

// MustParseDigest is ParseDigest for constants; it panics on an error.
func MustParseDigest(s string) Digest {
	d, err := ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}

// DigestOf returns the digest of p.
func DigestOf(a Algorithm, p []byte) Digest {
	h := a.New()
	h.Write(p)
	return DigestFromHash(a, h)
}

// DigestFromHash returns the digest of what was written to h.
func DigestFromHash(a Algorithm, h hash.Hash) Digest {
	return Digest{string(a) + ":" + hex.EncodeToString(h.Sum(nil))}
}

// String returns the digest as it is written everywhere.
func (d Digest) String() string { return d.s }

// IsZero reports whether d is the zero value, which names nothing.
func (d Digest) IsZero() bool { return d.s == "" }

// Algorithm returns the algorithm of a digest that is not zero.
func (d Digest) Algorithm() Algorithm {
	a, _, _ := strings.Cut(d.s, ":")
	return Algorithm(a)
}

// Hex returns the hexadecimal part.
func (d Digest) Hex() string {
	_, h, _ := strings.Cut(d.s, ":")
	return h
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.s), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Empty text is the zero digest.
func (d *Digest) UnmarshalText(p []byte) error {
	if len(p) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(p))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Value implements driver.Valuer: the zero digest is stored as NULL.
func (d Digest) Value() (driver.Value, error) {
	if d.s == "" {
		return nil, nil
	}
	return d.s, nil
}

// Scan implements sql.Scanner.
func (d *Digest) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Digest{}
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	case []byte:
		return d.UnmarshalText(v)
	}
	return fmt.Errorf("scan %T into a digest", src)
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
