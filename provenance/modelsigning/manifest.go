package modelsigning

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/blake2b"

	"github.com/carat-hub/carat/provenance"
)

// PredicateType is the type of the statements.
const PredicateType = "https://model_signing/signature/v1.0"

// maxResources is how many files or shards one signature may list.
const maxResources = 32768

// DefaultShardSize is the number of bytes in a shard unless another is chosen.
const DefaultShardSize = 1_000_000_000

// Errors of manifests.
var (
	// ErrDiffers says that the files are not those that were signed.
	ErrDiffers = errors.New("the files are not those that were signed")
	// ErrNotModelSigning says that a statement is no model signature.
	ErrNotModelSigning = errors.New("the statement is no model signature")
)

// DefaultIgnored are the paths at the top of a folder that are never signed.
var DefaultIgnored = []string{".git", ".gitattributes", ".github", ".gitignore"}

// Method says how files become resources.
type Method string

// The methods.
const (
	Files  Method = "files"  // each is one
	Shards Method = "shards" // each is cut into ranges of one size
)

// Hash is a hash algorithm by its name in the algorithm registry.
type Hash string

// The hash algorithms that are supported.
const (
	SHA256  Hash = "sha256"
	BLAKE2b Hash = "blake2b" // with 512 bits
)

// size is the length of a digest in bytes, 0 for an unknown algorithm.
func (h Hash) size() int {
	switch h {
	case SHA256:
		return sha256.Size
	case BLAKE2b:
		return blake2b.Size
	}
	return 0
}

func (h Hash) new() hash.Hash {
	if h == BLAKE2b {
		b, err := blake2b.New512(nil)
		if err != nil { // only for keys that are too long
			panic(err)
		}
		return b
	}
	return sha256.New()
}

// Resource is one file, or one shard of one.
type Resource struct {
	Name      string `json:"name"` // "path", or "path:start:end" for a shard
	Digest    string `json:"digest"`
	Algorithm Hash   `json:"algorithm"`
}

// Serialization says how files were listed and hashed.
type Serialization struct {
	Method        Method   `json:"method"`
	HashType      Hash     `json:"hash_type"`
	ShardSize     int64    `json:"shard_size,omitempty"` // bytes; of shards only
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths,omitempty"`
}

// ignores reports whether a path is left out: below an entry, or it.
func (s Serialization) ignores(p string) bool {
	for _, list := range [][]string{DefaultIgnored, s.IgnorePaths} {
		for _, i := range list {
			if p == i || strings.HasPrefix(p, i+"/") {
				return true
			}
		}
	}
	return false
}

// check refuses what is not supported or makes no sense. Errors:
// provenance.ErrUnsupported, provenance.ErrMalformed.
func (s Serialization) check() error {
	switch {
	case s.Method != Files && s.Method != Shards:
		return fmt.Errorf("%w: the serialization method %.40q", provenance.ErrUnsupported, s.Method)
	case s.HashType.size() == 0:
		return fmt.Errorf("%w: the hash %.40q", provenance.ErrUnsupported, s.HashType)
	case (s.Method == Shards) != (s.ShardSize > 0):
		return fmt.Errorf("%w: method %s with shards of %d bytes", provenance.ErrMalformed, s.Method, s.ShardSize)
	case len(s.IgnorePaths) > maxResources:
		return fmt.Errorf("%w: it ignores %d paths", provenance.ErrMalformed, len(s.IgnorePaths))
	}
	for _, p := range s.IgnorePaths {
		if err := checkPath(p); err != nil {
			return fmt.Errorf("%w; it is to be ignored", err)
		}
	}
	return nil
}

// checkPath accepts a relative, clean path with slashes, as all names are.
func checkPath(p string) error {
	if p == "" || len(p) > 4096 || !utf8.ValidString(p) || path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") {
		return fmt.Errorf("%w: the path %.80q", provenance.ErrMalformed, p)
	}
	return nil
}

// Manifest is what is signed: the files of a model with their digests.
type Manifest struct {
	Name          string // of the folder or file; means nothing
	Resources     []Resource
	Serialization Serialization
}

// Root is the root digest in hexadecimal: SHA-256 over the digests in order.
// It names the model in other documents.
func (m *Manifest) Root() string {
	h := sha256.New()
	for _, r := range m.Resources {
		p, err := hex.DecodeString(r.Digest)
		if err != nil { // checked wherever a manifest is made
			panic(err)
		}
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// File is a file whose SHA-256 is known, in hexadecimal.
type File struct {
	Path   string
	SHA256 string
}

// FromFiles lists files under the default method and the ignored paths.
// Errors: provenance.ErrMalformed.
func FromFiles(name string, files []File, ignored ...string) (*Manifest, error) {
	m := &Manifest{Name: name, Serialization: Serialization{Method: Files, HashType: SHA256, IgnorePaths: ignored}}
	for _, f := range files {
		if !m.Serialization.ignores(f.Path) {
			m.Resources = append(m.Resources, Resource{f.Path, f.SHA256, SHA256})
		}
	}
	slices.SortFunc(m.Resources, byName)
	return m, m.check()
}

func byName(a, b Resource) int { return cmp.Compare(a.Name, b.Name) }

// byRange orders shards by file and place, as some signers do.
func byRange(a, b Resource) int {
	pa, sa, _, _ := shard(a.Name)
	pb, sb, _, _ := shard(b.Name)
	return cmp.Or(cmp.Compare(pa, pb), cmp.Compare(sa, sb))
}

// shard takes the name of a shard apart. The path may have colons too.
func shard(name string) (p string, start, end int64, ok bool) {
	number := func() (n int64) {
		i := strings.LastIndexByte(name, ':')
		if i < 0 {
			return -1
		}
		digits := name[i+1:]
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != digits {
			return -1
		}
		name = name[:i]
		return n
	}
	end = number()
	start = number()
	return name, start, end, start >= 0 && end > start
}

// check refuses manifests that nobody can have made by the rules. Errors:
// provenance.ErrUnsupported, provenance.ErrMalformed.
func (m *Manifest) check() error {
	if err := m.Serialization.check(); err != nil {
		return err
	}
	s := m.Serialization
	if len(m.Resources) == 0 || len(m.Resources) > maxResources {
		return fmt.Errorf("%w: it lists %d files; 1 to %d are read", provenance.ErrMalformed, len(m.Resources), maxResources)
	}
	seen := make(map[string]bool, len(m.Resources))
	for _, r := range m.Resources {
		p := r.Name
		if s.Method == Shards {
			var start, end int64
			var ok bool
			if p, start, end, ok = shard(r.Name); !ok || start%s.ShardSize != 0 || end-start > s.ShardSize {
				return fmt.Errorf("%w: the shard %.80q", provenance.ErrMalformed, r.Name)
			}
		}
		if err := checkPath(p); err != nil {
			return err
		}
		digest, err := hex.DecodeString(r.Digest)
		switch {
		case r.Algorithm != s.HashType || err != nil || len(digest) != s.HashType.size() || strings.ToLower(r.Digest) != r.Digest:
			return fmt.Errorf("%w: the digest of %.80q is no %s", provenance.ErrMalformed, r.Name, s.HashType)
		case seen[r.Name]:
			return fmt.Errorf("%w: %.80q is listed twice", provenance.ErrMalformed, r.Name)
		}
		seen[r.Name] = true
	}
	if !slices.IsSortedFunc(m.Resources, byName) && (s.Method != Shards || !slices.IsSortedFunc(m.Resources, byRange)) {
		return fmt.Errorf("%w: its files are not in order", provenance.ErrMalformed)
	}
	return nil
}

type predicate struct {
	Resources     []Resource    `json:"resources"`
	Serialization Serialization `json:"serialization"`
}

// Statement writes the manifest as an in-toto statement.
func (m *Manifest) Statement() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	name := m.Name
	if name == "" {
		name = "model"
	}
	subject := []provenance.Resource{{Name: name, Digest: map[string]string{"sha256": m.Root()}}}
	return provenance.EncodeStatement(subject, PredicateType, predicate{m.Resources, m.Serialization})
}

// ReadManifest reads the manifest in a statement. Errors: ErrNotModelSigning,
// provenance.ErrMalformed, provenance.ErrUnsupported.
func ReadManifest(s *provenance.Statement) (*Manifest, error) {
	if s.PredicateType != PredicateType {
		return nil, fmt.Errorf("%w: it is of type %.80q", ErrNotModelSigning, s.PredicateType)
	}
	// Unknown fields of a resource are allowed, others are not.
	var outer struct {
		Resources     []json.RawMessage `json:"resources"`
		Serialization json.RawMessage   `json:"serialization"`
	}
	if err := strict(s.Predicate, &outer); err != nil {
		return nil, err
	}
	m := &Manifest{}
	if len(outer.Resources) > maxResources {
		return nil, fmt.Errorf("%w: it lists %d files; at most %d are read", provenance.ErrMalformed, len(outer.Resources), maxResources)
	}
	if err := strict(outer.Serialization, &m.Serialization); err != nil {
		return nil, err
	}
	for _, raw := range outer.Resources {
		var r Resource
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("%w: %w", provenance.ErrMalformed, err)
		}
		m.Resources = append(m.Resources, r)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] != m.Root() {
		return nil, fmt.Errorf("%w: its subject is not the root digest of its files", provenance.ErrMalformed)
	}
	m.Name = s.Subject[0].Name
	return m, nil
}

// strict reads an object that has no other fields.
func strict(p []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", provenance.ErrMalformed, err)
	}
	return nil
}

// shownDifferences is how many differences an error names.
const shownDifferences = 20

// Compare checks that found lists exactly the files that m does.
// Errors: ErrDiffers, with each difference in words.
func (m *Manifest) Compare(found *Manifest) error {
	want := make(map[string]string, len(m.Resources))
	for _, r := range m.Resources {
		want[r.Name] = r.Digest
	}
	var problems []string
	for _, r := range found.Resources {
		digest, ok := want[r.Name]
		delete(want, r.Name)
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%q was not signed", r.Name))
		case digest != r.Digest:
			problems = append(problems, fmt.Sprintf("%q is %s, not %s", r.Name, r.Digest, digest))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		problems = append(problems, fmt.Sprintf("%q is missing", name))
	}
	if n := len(problems); n > shownDifferences {
		problems = append(problems[:shownDifferences], fmt.Sprintf("and %d more", n-shownDifferences))
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %s", ErrDiffers, strings.Join(problems, "; "))
	}
	return nil
}

// CompareFiles checks files whose SHA-256 is known, as a registry has them,
// without reading them. Ignored are paths beside those that the signature
// itself leaves out. Errors: ErrDiffers; provenance.ErrUnsupported where the
// digests of whole files do not tell.
func (m *Manifest) CompareFiles(files []File, ignored ...string) error {
	if m.Serialization.Method != Files || m.Serialization.HashType != SHA256 {
		return fmt.Errorf("%w without reading the files: they were hashed by %s in %s", provenance.ErrUnsupported, m.Serialization.HashType, m.Serialization.Method)
	}
	found, err := FromFiles("", files, slices.Concat(m.Serialization.IgnorePaths, ignored)...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	return m.Compare(found)
}
