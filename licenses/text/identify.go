package text

import (
	"cmp"
	"slices"
	"strings"
)

// Limits of an answer.
const (
	maxCandidates = 3
	maxUncovered  = 400 // words that are shown
	// leastLikeness is what a candidate must have.
	leastLikeness = 0.25
	// mostTries is how many places of a text are compared with known texts
	// word by word, which only a text that was made for it exceeds.
	mostTries = 256
	// mostAround is how many words that say nothing of terms, as titles do,
	// may stand around a text without making it another one.
	mostAround = 40
)

// Result is what a text is.
type Result struct {
	// Refs are the licences whose texts make up the whole text, but for titles
	// and lines of copyright. It is empty when anything else stands there.
	Refs []string `json:"refs,omitempty"`
	// Contains are the licences whose texts stand in it word for word.
	Contains []string `json:"contains,omitempty"`
	// Uncovered is what stands around them, the first of it.
	Uncovered      string `json:"uncovered,omitempty"`
	UncoveredWords int    `json:"uncoveredWords,omitempty"`
	// Candidates are licences whose texts are like it, the likest first. They
	// are there when no text stands in it.
	Candidates []Candidate `json:"candidates,omitempty"`
	Words      int         `json:"words"`
	Digest     string      `json:"digest"` // of all words
	// Confirmed says that somebody's word is needed for what Refs say.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Candidate is a licence whose text is like another one.
type Candidate struct {
	Ref      string  `json:"ref"`
	Likeness float64 `json:"likeness"` // estimate of the Jaccard index of runs of five words
}

// Identify tells which licence a text is. Errors: ErrTooLong.
func (l *Library) Identify(s string) (Result, error) {
	words, err := Words(s)
	if err != nil {
		return Result{}, err
	}
	r := Result{Words: len(words), Digest: Digest(words)}
	covered := make([]bool, len(words))
	tries, confirmed := mostTries, false
	for i := 0; i+anchor <= len(words); {
		f := l.at(words, i, &tries)
		if f == nil {
			i++
			continue
		}
		for j := range f.Words {
			covered[i+j] = true
		}
		confirmed = confirmed || f.Confirmed
		if !slices.Contains(r.Contains, f.Ref) {
			r.Contains = append(r.Contains, f.Ref)
		}
		i += f.Words
	}
	var around []string
	for i, w := range words {
		if !covered[i] {
			around = append(around, w)
		}
	}
	r.UncoveredWords = len(around)
	r.Uncovered = strings.Join(around[:min(len(around), maxUncovered)], " ")
	switch {
	case len(r.Contains) == 0:
		r.Candidates = l.like(words)
	case len(around) <= mostAround && !hasTerms(around):
		r.Refs, r.Confirmed = r.Contains, confirmed
	}
	return r, nil
}

// at returns the longest known text that begins at word i, nil when none does.
func (l *Library) at(words []string, i int, tries *int) *Fingerprint {
	for _, k := range l.byAnchor[hashWords(words[i:i+anchor])] {
		f := &l.all[k]
		if i+f.Words > len(words) || *tries == 0 {
			continue
		}
		*tries--
		if Digest(words[i:i+f.Words]) == f.Digest {
			return f
		}
	}
	return nil
}

// like returns the likest texts.
func (l *Library) like(words []string) []Candidate {
	s := NewSketch(words)
	var list []Candidate
	for i := range l.all {
		f := &l.all[i]
		if f.Sketch == nil {
			continue
		}
		likeness := s.Likeness(f.Sketch)
		if likeness < leastLikeness {
			continue
		}
		at := slices.IndexFunc(list, func(c Candidate) bool { return c.Ref == f.Ref })
		if at < 0 {
			list = append(list, Candidate{f.Ref, likeness})
		} else {
			list[at].Likeness = max(list[at].Likeness, likeness)
		}
	}
	slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Compare(b.Likeness, a.Likeness) })
	return list[:min(len(list), maxCandidates)]
}
