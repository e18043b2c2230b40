package tokenizer

import (
	"fmt"
	"strings"
)

// bpe merges by rank: the pairs that training merged first come first.
type bpe struct {
	vocab *vocabulary
	ranks map[[2]int32]ranked

	bytes    *[256]int // byte fallback for characters out of the vocabulary, nil = none
	unknown  int       // for those without fallback, -1 = they are dropped
	fuse     bool      // one unknown token for a run of unknown characters
	wholes   bool      // a piece that is a token is not merged but taken as it is
	toMapped bool      // pieces are bytes, to be written in the byte-level alphabet
}

type ranked struct {
	rank int32
	id   int32
}

// newBPE makes a model from merges, each a pair of tokens, in order of rank.
func newBPE(v *vocabulary, merges [][2]string) (*bpe, error) {
	if len(merges) > maxMerges {
		return nil, fmt.Errorf("there are %d merges; at most %d are allowed", len(merges), maxMerges)
	}
	b := &bpe{vocab: v, ranks: make(map[[2]int32]ranked, len(merges)), unknown: -1}
	for rank, m := range merges {
		left, ok1 := v.ids[m[0]]
		right, ok2 := v.ids[m[1]]
		id, ok3 := v.ids[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("merge %d of %.40q and %.40q names a token that is not in the vocabulary", rank, m[0], m[1])
		}
		key := [2]int32{int32(left), int32(right)}
		if _, twice := b.ranks[key]; !twice {
			b.ranks[key] = ranked{int32(rank), int32(id)}
		}
	}
	return b, nil
}

func (b *bpe) encode(dst []int, piece string) []int {
	if b.toMapped {
		piece = toByteAlphabet(piece)
	}
	if id, ok := b.vocab.ids[piece]; ok && b.wholes {
		return append(dst, id)
	}
	symbols := mergeAll(piece, characters(piece, b.vocab.ids), func(_ string, x, y symbol) (int, float64, bool) {
		if x.id < 0 || y.id < 0 {
			return 0, 0, false
		}
		r, ok := b.ranks[[2]int32{int32(x.id), int32(y.id)}]
		return int(r.id), float64(r.rank), ok
	})
	unknowns := false
	for _, s := range symbols {
		switch {
		case s.id >= 0:
			dst = append(dst, s.id)
		case b.bytes != nil:
			for i := s.start; i < s.end; i++ {
				dst = append(dst, b.bytes[piece[i]])
			}
		case b.unknown >= 0 && (!unknowns || !b.fuse):
			dst = append(dst, b.unknown)
		}
		unknowns = s.id < 0
	}
	return dst
}

// parseMerge reads a merge written as two tokens with a space between. Both
// may hold spaces themselves only in the other notation, as a pair.
func parseMerge(s string) ([2]string, error) {
	left, right, ok := strings.Cut(s, " ")
	if !ok || left == "" || right == "" {
		return [2]string{}, fmt.Errorf("merge %.40q is not two tokens", s)
	}
	return [2]string{left, right}, nil
}
