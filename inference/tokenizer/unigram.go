package tokenizer

import (
	"math"
	"slices"
	"sort"
	"unicode/utf8"
)

// unigram cuts text into the pieces whose scores have the highest sum.
type unigram struct {
	pieces []string // sorted
	ids    []int32  // of pieces
	scores []float64
	bytes  *[256]int // of unknown characters, nil when they become unk
	unk    int
	low    float64 // the score of an unknown character
}

const unknownPenalty = 10 // below the lowest score

// newUnigram sorts the pieces that text can become. score is by id.
func newUnigram(vocab map[string]int, score func(id int) float64, unk int) (*unigram, error) {
	if _, err := longestPiece(vocab); err != nil {
		return nil, err
	}
	m := &unigram{pieces: make([]string, 0, len(vocab)), unk: unk}
	for p := range vocab {
		m.pieces = append(m.pieces, p)
	}
	slices.Sort(m.pieces)
	m.ids, m.scores = make([]int32, len(m.pieces)), make([]float64, len(m.pieces))
	for i, p := range m.pieces {
		id := vocab[p]
		s := score(id)
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return nil, malformed("vocabulary", "the score of %.80q is %v", p, s)
		}
		m.ids[i], m.scores[i] = int32(id), s
		if i == 0 || s < m.low {
			m.low = s
		}
	}
	m.low -= unknownPenalty
	return m, nil
}

// step is the best way to a place in the text: from where, by which piece.
type unigramStep struct {
	score float64
	from  int32
	piece int32 // -1 an unknown character, -2 none
}

func (m *unigram) encode(ids []int, text string) []int {
	best := make([]unigramStep, len(text)+1)
	for i := range best {
		best[i].piece = -2
	}
	best[0] = unigramStep{piece: -1}
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRuneInString(text[i:])
		single := false
		// The pieces that begin with text[i:end] are from lo to hi.
		lo, hi := 0, len(m.pieces)
		for end := i + 1; end <= len(text); end++ {
			at, c := end-1-i, text[end-1]
			lo += sort.Search(hi-lo, func(k int) bool { p := m.pieces[lo+k]; return len(p) > at && p[at] >= c })
			hi = lo + sort.Search(hi-lo, func(k int) bool { p := m.pieces[lo+k]; return len(p) > at && p[at] > c })
			if lo == hi {
				break
			}
			if len(m.pieces[lo]) == end-i {
				single = single || end-i == n
				m.offer(best, i, end, best[i].score+m.scores[lo], int32(lo))
			}
		}
		if !single {
			m.offer(best, i, i+n, best[i].score+m.low, -1)
		}
		i += n
	}
	var path []int32 // ends
	for at := int32(len(text)); at > 0; at = best[at].from {
		path = append(path, at)
	}
	slices.Reverse(path)
	unknown := false
	for _, end := range path {
		s := best[end]
		if s.piece >= 0 {
			ids = append(ids, int(m.ids[s.piece]))
			unknown = false
			continue
		}
		if m.bytes != nil && haveBytes(m.bytes, text[s.from:end]) {
			for _, b := range []byte(text[s.from:end]) {
				ids = append(ids, m.bytes[b])
			}
			continue
		}
		if m.unk >= 0 && !unknown {
			ids = append(ids, m.unk)
		}
		unknown = true
	}
	return ids
}

// offer takes a way to end when it is better than the one known. Ends are always between characters, as pieces are UTF-8.
func (m *unigram) offer(best []unigramStep, from, end int, score float64, piece int32) {
	if b := &best[end]; b.piece == -2 || score > b.score {
		*b = unigramStep{score, int32(from), piece}
	}
}
