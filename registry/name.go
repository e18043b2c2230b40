package registry

import (
	"regexp"
	"strings"
	"sync"
)

// Limits of the name and tag grammar in bytes (distribution-spec v1.1).
const (
	maxNameLen = 255
	maxTagLen  = 128
)

var (
	nameRE = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	})
	tagRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`) })
)

// Name is a repository's name in the grammar of the distribution
// specification. A model is a repository whose name has two parts, org/name.
type Name string

// ParseName checks a repository name, or returns an error with code CodeNameInvalid.
func ParseName(s string) (Name, error) {
	switch {
	case s == "":
		return "", Errorf(CodeNameInvalid, "repository name is empty")
	case len(s) > maxNameLen:
		return "", Errorf(CodeNameInvalid, "repository name has %d bytes; at most %d are allowed", len(s), maxNameLen)
	case !nameRE().MatchString(s):
		return "", Errorf(CodeNameInvalid, "repository name %q does not follow the grammar: lower-case letters and digits, separated by . _ __ - or /", clip(s))
	}
	return Name(s), nil
}

// Split returns the parts of a model's name; ok is false for a name that has
// not exactly two parts.
func (n Name) Split() (org, model string, ok bool) {
	org, model, ok = strings.Cut(string(n), "/")
	return org, model, ok && !strings.Contains(model, "/")
}

// Tag is a tag in the grammar of the distribution specification.
type Tag string

// ParseTag checks a tag, or returns an error with code CodeTagInvalid.
func ParseTag(s string) (Tag, error) {
	if len(s) > maxTagLen || !tagRE().MatchString(s) {
		return "", Errorf(CodeTagInvalid, "tag %q does not follow the grammar: at most %d letters, digits, . _ and -, not starting with . or -", clip(s), maxTagLen)
	}
	return Tag(s), nil
}

// Reference is the <reference> of a manifest route: a tag or a digest,
// exactly one of which is set.
type Reference struct {
	Tag    Tag
	Digest Digest
}

// ParseReference parses a tag or a digest. A string with a colon is taken
// for a digest, because no tag has one.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// String returns the tag or the digest.
func (r Reference) String() string {
	if r.Tag != "" {
		return string(r.Tag)
	}
	return r.Digest.String()
}
