package modelsigning

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Errors of this package.
var (
	// ErrMalformed says that a bundle is none of the specification.
	ErrMalformed = errors.New("not a signature of a model")
	// ErrSignature says that a signature is not by any of the trusted keys, or
	// not valid.
	ErrSignature = errors.New("the signature is not valid")
	// ErrFiles says that the files are not those that were signed.
	ErrFiles = errors.New("the files are not those that were signed")
	// ErrUnsupported says that a signature is of a kind that is not read here.
	ErrUnsupported = errors.New("this kind of signature is not supported")
)

// Methods of listing files.
const (
	MethodFiles  = "files"
	MethodShards = "shards"
)

// Names of hash algorithms.
const (
	HashSHA256  = "sha256"
	HashBLAKE2b = "blake2b"
)

// DefaultShardSize is how long shards are, in bytes, where nobody says otherwise.
const DefaultShardSize = 1_000_000_000

// maxResources bounds what a manifest lists.
const maxResources = 200_000

// Resource is a file, or one shard of it.
type Resource struct {
	Name      string `json:"name"`   // path with slashes; of a shard "path:start:end"
	Digest    string `json:"digest"` // hex
	Algorithm string `json:"algorithm"`
}

// Serialization is how files were listed.
type Serialization struct {
	Method        string   `json:"method"`
	HashType      string   `json:"hash_type"`
	ShardSize     int64    `json:"shard_size,omitempty"` // bytes
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths,omitempty"`
}

// Manifest lists the files of a model.
type Manifest struct {
	Resources     []Resource    `json:"resources"`
	Serialization Serialization `json:"serialization"`
}

// Root is the digest of the whole: SHA-256 over the digests of all resources
// in their order. It stands for the model wherever one digest is needed.
func (m *Manifest) Root() ([sha256.Size]byte, error) {
	h := sha256.New()
	for _, r := range m.Resources {
		d, err := hex.DecodeString(r.Digest)
		if err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("%w: the digest of %.80q is not hexadecimal", ErrMalformed, r.Name)
		}
		h.Write(d)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// sort puts resources into the order of the specification. Go compares strings
// by bytes, which for UTF-8 is the order of code points.
func (m *Manifest) sort() {
	slices.SortFunc(m.Resources, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
}

// check refuses a manifest that another reader could read otherwise. Errors: ErrMalformed, ErrUnsupported.
func (m *Manifest) check() error {
	s := &m.Serialization
	switch {
	case s.Method != MethodFiles && s.Method != MethodShards:
		return fmt.Errorf("%w: method %.40q", ErrUnsupported, s.Method)
	case s.HashType != HashSHA256 && s.HashType != HashBLAKE2b:
		return fmt.Errorf("%w: hash %.40q", ErrUnsupported, s.HashType)
	case (s.Method == MethodShards) != (s.ShardSize > 0):
		return fmt.Errorf("%w: a size of shards of %d with method %s", ErrMalformed, s.ShardSize, s.Method)
	case len(m.Resources) == 0:
		return fmt.Errorf("%w: it lists no files", ErrMalformed)
	case len(m.Resources) > maxResources:
		return fmt.Errorf("%w: it lists more than %d resources", ErrMalformed, maxResources)
	}
	for _, p := range s.IgnorePaths {
		if err := checkIgnored(p); err != nil {
			return err
		}
	}
	size := map[string]int{HashSHA256: 64, HashBLAKE2b: 128}[s.HashType]
	for i, r := range m.Resources {
		path := r.Name
		if s.Method == MethodShards {
			var start, end int64
			var ok bool
			if path, start, end, ok = shard(r.Name); !ok || start%s.ShardSize != 0 || end <= start || end-start > s.ShardSize {
				return fmt.Errorf("%w: %.80q is no shard of %d bytes", ErrMalformed, r.Name, s.ShardSize)
			}
		}
		switch {
		case !isPath(path):
			return fmt.Errorf("%w: %.80q is no path within a model", ErrMalformed, r.Name)
		case r.Algorithm != s.HashType:
			return fmt.Errorf("%w: %.80q is hashed with %.40q, the rest with %s", ErrMalformed, r.Name, r.Algorithm, s.HashType)
		case len(r.Digest) != size || strings.Trim(r.Digest, "0123456789abcdef") != "":
			return fmt.Errorf("%w: the digest of %.80q is none of %s", ErrMalformed, r.Name, s.HashType)
		case i > 0 && m.Resources[i-1].Name >= r.Name:
			return fmt.Errorf("%w: %.80q is out of order, or listed twice", ErrMalformed, r.Name)
		}
	}
	return nil
}

// FromDigests lists files whose SHA-256 digests, in hexadecimal, are known by
// their paths, as those of a version in a registry are. What s leaves out is
// left out. Errors: ErrUnsupported where s lists files in another way, ErrMalformed.
func FromDigests(digests map[string]string, s Serialization) (*Manifest, error) {
	if s.Method != MethodFiles || s.HashType != HashSHA256 {
		return nil, fmt.Errorf("%w: files that are listed as %s by %s have to be read", ErrUnsupported, s.Method, s.HashType)
	}
	m := &Manifest{Serialization: s}
	for path, d := range digests {
		top, _, _ := strings.Cut(path, "/")
		if slices.Contains(defaultIgnored, top) || slices.ContainsFunc(s.IgnorePaths, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") }) {
			continue
		}
		m.Resources = append(m.Resources, Resource{path, d, HashSHA256})
	}
	m.sort()
	return m, m.check()
}

// isPath reports whether a path is canonical and stays within the model.
func isPath(p string) bool {
	if p == "" || len(p) > 4096 || !utf8.ValidString(p) || strings.ContainsRune(p, 0) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// shard takes the name of a shard apart: the last two numbers are the range.
func shard(name string) (path string, start, end int64, ok bool) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return "", 0, 0, false
	}
	j := strings.LastIndexByte(name[:i], ':')
	if j < 0 {
		return "", 0, 0, false
	}
	start, err := strconv.ParseInt(name[j+1:i], 10, 64)
	end, err2 := strconv.ParseInt(name[i+1:], 10, 64)
	if err != nil || err2 != nil || start < 0 || shardName(name[:j], start, end) != name {
		return "", 0, 0, false
	}
	return name[:j], start, end, true
}

func shardName(path string, start, end int64) string {
	return path + ":" + strconv.FormatInt(start, 10) + ":" + strconv.FormatInt(end, 10)
}

// maxTold is how many files an error names.
const maxTold = 5

// Compare tells in what way the files at hand, got, are not those of m; with
// unlisted, files that m does not list are let be. Errors: ErrFiles.
func (m *Manifest) Compare(got *Manifest, unlisted bool) error {
	have := make(map[string]string, len(got.Resources))
	for _, r := range got.Resources {
		have[r.Name] = r.Digest
	}
	var told []string
	n := 0
	tell := func(s string) {
		if n++; n <= maxTold {
			told = append(told, s)
		}
	}
	for _, r := range m.Resources {
		switch d, ok := have[r.Name]; {
		case !ok:
			tell(r.Name + " is missing")
		case d != r.Digest:
			tell(r.Name + " is changed")
		}
		delete(have, r.Name)
	}
	if !unlisted {
		for _, r := range got.Resources {
			if _, ok := have[r.Name]; ok {
				tell(r.Name + " was not signed")
			}
		}
	}
	if n == 0 {
		return nil
	}
	if n > maxTold {
		told = append(told, fmt.Sprintf("and %d more", n-maxTold))
	}
	return fmt.Errorf("%w: %s", ErrFiles, strings.Join(told, ", "))
}
