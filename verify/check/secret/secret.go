package secret

import (
	"bytes"
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Match is one secret that was found.
type Match struct {
	// Kind is what it is, "Hugging Face token".
	Kind string
	// Line counts from 1.
	Line int
	// Shown is the first four characters, and Length how many bytes the secret has.
	Shown  string
	Length int
	// Certain says that its form leaves little doubt.
	Certain bool
}

// maxMatches bounds what is found in one text.
const maxMatches = 64

// maxTries bounds how often one form is tried on one text.
const maxTries = 1 << 14

// window is how many bytes behind a hint a form may reach.
const window = 8 << 10

// form is how one kind of secret is written.
type form struct {
	kind string
	// hint is what every one contains; it is searched for before re is tried on what surrounds it, from before bytes in
	// front of it on.
	hint   string
	before int
	// inside says that it may come in the middle of a word.
	inside bool
	// re matches from where it is tried; its last group is the secret.
	re *regexp.Regexp
	// entropy is the least for which a text counts, in bits for each character.
	entropy float64
	// check, when not nil, has to agree.
	check func(secret string) bool
	// guess says that the form alone is not beyond doubt.
	guess bool
	// files, when not nil, says in which files the form is looked for.
	files func(name string) bool
}

// Scan finds the secrets in a text. name is the path of the file, which some forms depend on.
func Scan(name string, text []byte) []Match {
	var found []Match
	base := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	for i := range forms {
		if f := &forms[i]; f.files == nil || f.files(base) {
			found = f.scan(text, found)
		}
	}
	slices.SortFunc(found, func(a, b Match) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Kind, b.Kind)) })
	return found
}

func (f *form) scan(text []byte, found []Match) []Match {
	for at, tries := 0, 0; at < len(text) && len(found) < maxMatches && tries < maxTries; tries++ {
		i := bytes.Index(text[at:], []byte(f.hint))
		if i < 0 {
			break
		}
		hit := at + i
		from := max(hit-f.before, 0)
		at = hit + len(f.hint)
		if from > 0 && f.before == 0 && !f.inside && word(text[from-1]) && word(f.hint[0]) {
			continue // in the middle of something longer
		}
		m := f.re.FindSubmatchIndex(text[from:min(hit+window, len(text))])
		if m == nil {
			continue
		}
		begin, end := from+m[len(m)-2], from+m[len(m)-1]
		at = max(at, end)
		secret := string(text[begin:end])
		if end < len(text) && word(text[end]) && word(text[end-1]) || entropy(secret) < f.entropy || placeholder(secret) || f.check != nil && !f.check(secret) {
			continue
		}
		line := 1 + bytes.Count(text[:begin], []byte("\n"))
		found = append(found, Match{Kind: f.kind, Line: line, Shown: mask(secret), Length: len(secret), Certain: !f.guess})
	}
	return found
}

// mask returns the first four characters of a secret of at least 12, and of others none. Line ends are not shown.
func mask(secret string) string {
	if len(secret) < 12 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, secret[:4])
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// entropy returns the bits for each character by the frequencies of a text's own characters.
func entropy(s string) float64 {
	var counts [256]int
	for i := range len(s) {
		counts[s[i]]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// filler are words that documentation writes in place of a secret.
var filler = []string{
	"example", "xxxx", "your", "placeholder", "redacted", "changeme", "change_me", "dummy", "sample", "fake", "secret_here", "token_here",
	"****", "....", "0000000000", "1234567890", "abcdefgh", "deadbeef", "insert", "<", "${", "{{",
}

// placeholder reports whether a secret is none, but what documentation writes in its place.
func placeholder(s string) bool {
	low := strings.ToLower(s)
	return slices.ContainsFunc(filler, func(f string) bool { return strings.Contains(low, f) })
}
