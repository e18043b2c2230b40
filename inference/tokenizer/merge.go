package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// symbol is a part of the text that merging works on: a node of a list in text order.
type symbol struct {
	start, end int // in the text
	id         int // -1 when the vocabulary lacks it
	prev, next int // -1 at the ends
}

const dead = -2 // the id of a symbol that was merged into its left neighbour

// candidate is a pair that could be merged. It is stale when one of its symbols has changed since.
type candidate struct {
	rank        float64 // lower first
	left        int
	leftID      int
	rightID     int
	merged, end int
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.left < d.left
}

// queue is a heap of candidates.
type queue []candidate

func (q *queue) push(c candidate) {
	h := append(*q, c)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*q = h
}

func (q *queue) pop() candidate {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(h[i]) {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	*q = h
	return top
}

// merge joins neighbouring symbols, the pair of lowest rank first and the leftmost of equals, until pair knows none to join.
// It takes time n log n in the number of symbols.
func merge(symbols []symbol, pair func(left, right symbol) (rank float64, id int, ok bool)) {
	var q queue
	try := func(left int) {
		if left < 0 || symbols[left].next < 0 {
			return
		}
		l, r := symbols[left], symbols[symbols[left].next]
		if rank, id, ok := pair(l, r); ok {
			q.push(candidate{rank: rank, left: left, leftID: l.id, rightID: r.id, merged: id, end: r.end})
		}
	}
	for i := range symbols {
		try(i)
	}
	for len(q) > 0 {
		c := q.pop()
		l := &symbols[c.left]
		if l.id != c.leftID || l.next < 0 || symbols[l.next].id != c.rightID || symbols[l.next].end != c.end {
			continue
		}
		r := &symbols[l.next]
		l.id, l.end, l.next = c.merged, r.end, r.next
		r.id = dead
		if l.next >= 0 {
			symbols[l.next].prev = c.left
		}
		try(l.prev)
		try(c.left)
	}
}

// runes appends one unlinked symbol for each character of text, or byte that is part of none.
func runes(text string) []symbol {
	symbols := make([]symbol, 0, len(text))
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRuneInString(text[i:])
		symbols = append(symbols, symbol{start: i, end: i + n})
		i += n
	}
	return symbols
}

func link(symbols []symbol) {
	for i := range symbols {
		symbols[i].prev, symbols[i].next = i-1, i+1
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
}

// byteTokens returns the ids of <0x00> to <0xFF>, -1 for those that the vocabulary lacks.
func byteTokens(ids map[string]int) *[256]int {
	var t [256]int
	for i := range t {
		id, ok := ids[fmt.Sprintf("<0x%02X>", i)]
		if !ok {
			id = -1
		}
		t[i] = id
	}
	return &t
}

type mergeRule struct{ rank, id int32 }

// bpe merges by an ordered list of pairs.
type bpe struct {
	ids    map[string]int
	merges map[uint64]mergeRule // by left<<32 | right
	// bytes are the ids of the bytes when characters that the vocabulary lacks fall back to them.
	bytes *[256]int
	unk   int // -1 drops them
	// fuseUnk writes one unk for several in a row; wholeWords takes a word that is in the vocabulary without merging.
	fuseUnk, wholeWords bool
}

func (m *bpe) encode(ids []int, text string) []int {
	if m.wholeWords {
		if id, ok := m.ids[text]; ok {
			return append(ids, id)
		}
	}
	var symbols []symbol
	unknown := false
	for _, s := range runes(text) {
		id, ok := m.ids[text[s.start:s.end]]
		switch {
		case ok:
			s.id = id
			symbols = append(symbols, s)
		case m.bytes != nil && haveBytes(m.bytes, text[s.start:s.end]):
			for _, b := range []byte(text[s.start:s.end]) {
				s.id = m.bytes[b]
				symbols = append(symbols, s)
			}
		case m.unk >= 0 && (!m.fuseUnk || !unknown):
			s.id = m.unk
			symbols = append(symbols, s)
		}
		unknown = !ok && m.bytes == nil
	}
	link(symbols)
	merge(symbols, func(l, r symbol) (float64, int, bool) {
		rule, ok := m.merges[uint64(l.id)<<32|uint64(r.id)]
		return float64(rule.rank), int(rule.id), ok
	})
	for _, s := range symbols {
		if s.id != dead {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func haveBytes(bytes *[256]int, s string) bool {
	for i := range len(s) {
		if bytes[s[i]] < 0 {
			return false
		}
	}
	return true
}

// spm merges the neighbours whose joined text has the highest score, as SentencePiece's BPE does.
type spm struct {
	ids    map[string]int
	scores []float32
	bytes  *[256]int
	unk    int
	// wholeWords takes a word that is in the vocabulary without merging.
	wholeWords bool
}

func (m *spm) encode(ids []int, text string) []int {
	if id, ok := m.ids[text]; ok && m.wholeWords {
		return append(ids, id)
	}
	symbols := runes(text)
	for i := range symbols {
		s := &symbols[i]
		id, ok := m.ids[text[s.start:s.end]]
		if !ok {
			id = -1
		}
		s.id = id
	}
	link(symbols)
	merge(symbols, func(l, r symbol) (float64, int, bool) {
		id, ok := m.ids[text[l.start:r.end]]
		if !ok || id >= len(m.scores) {
			return 0, 0, false
		}
		return -float64(m.scores[id]), id, true
	})
	for _, s := range symbols {
		switch {
		case s.id >= 0:
			ids = append(ids, s.id)
		case s.id == -1:
			for _, b := range []byte(text[s.start:s.end]) {
				if m.bytes[b] >= 0 {
					ids = append(ids, m.bytes[b])
				} else if m.unk >= 0 {
					ids = append(ids, m.unk)
				}
			}
		}
	}
	return ids
}
