package text

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
)

// Digest returns the hex SHA-256 of words with a space between them: the
// identity of a text.
func Digest(words []string) string {
	h := sha256.New()
	for i, w := range words {
		if i > 0 {
			h.Write([]byte{' '})
		}
		h.Write([]byte(w))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// anchor is how many words find the place where a text begins, and the least
// that a text has.
const anchor = 16

// gram is how many words are compared at a time.
const gram = 5

// sketchSize is how many numbers a sketch has: likeness is estimated to about 0.04.
const sketchSize = 128

// Sketch is what is kept of the words of a text to tell how like another one
// is: the least hashes of all runs of five words, for as many hash functions.
type Sketch [sketchSize]uint32

// NewSketch makes the sketch of words.
func NewSketch(words []string) *Sketch {
	s := new(Sketch)
	for i := range s {
		s[i] = math.MaxUint32
	}
	for i := 0; i+gram <= len(words); i++ {
		h := hashWords(words[i : i+gram])
		for j := range s {
			// Another odd factor for each function mixes the bits anew.
			x := (h ^ uint64(j)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
			s[j] = min(s[j], uint32((x^x>>33)>>16))
		}
	}
	return s
}

// Likeness estimates the Jaccard index of two texts, from 0 to 1.
func (s *Sketch) Likeness(other *Sketch) float64 {
	same := 0
	for i, v := range s {
		if v == other[i] && v != math.MaxUint32 {
			same++
		}
	}
	return float64(same) / sketchSize
}

// hashWords is FNV-1a, which must not change: fingerprints are stored.
func hashWords(words []string) uint64 {
	h := uint64(14695981039346656037)
	for _, w := range words {
		for _, c := range []byte(w) {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ ' ') * 1099511628211
	}
	return h
}

// Fingerprint is what is known of a text.
type Fingerprint struct {
	Ref    string // SPDX id or LicenseRef
	Words  int    // how many
	Anchor uint64 // hash of the first ones
	Digest string // of all
	// Sketch is nil for parts of a text, which are found only as they are.
	Sketch *Sketch
	// Confirmed says that it does not come with the program, but from somebody
	// who read the text.
	Confirmed bool
}

// NewFingerprint takes the fingerprint of a text, and false when it has too
// few words to be told from others.
func NewFingerprint(ref string, words []string) (Fingerprint, bool) {
	if len(words) < anchor {
		return Fingerprint{}, false
	}
	return Fingerprint{Ref: ref, Words: len(words), Anchor: hashWords(words[:anchor]), Digest: Digest(words), Sketch: NewSketch(words)}, true
}

// Library are the texts that are known. Its methods may be called from several
// goroutines at once.
type Library struct {
	all      []Fingerprint
	byAnchor map[uint64][]int
}

// NewLibrary makes a library.
func NewLibrary(list []Fingerprint) *Library {
	l := &Library{all: list, byAnchor: make(map[uint64][]int)}
	for i, f := range list {
		l.byAnchor[f.Anchor] = append(l.byAnchor[f.Anchor], i)
	}
	for _, at := range l.byAnchor {
		// Of two texts that begin alike the longer one is the whole.
		slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(list[b].Words, list[a].Words) })
	}
	return l
}

// With returns a library that has those of l and more. Where both know a text,
// what l knows counts.
func (l *Library) With(more ...Fingerprint) *Library {
	return NewLibrary(slices.Concat(l.all, more))
}
