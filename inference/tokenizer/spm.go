package tokenizer

// spm merges by score as SentencePiece does: of all neighbours that together
// are a token, those with the highest score come first.
type spm struct {
	vocab   *vocabulary
	scores  []float32
	bytes   *[256]int // byte fallback, nil = none
	unknown int       // -1 = unknown characters are dropped
}

func (m *spm) encode(dst []int, piece string) []int {
	symbols := mergeAll(piece, characters(piece, m.vocab.ids), func(piece string, a, b symbol) (int, float64, bool) {
		id, ok := m.vocab.ids[piece[a.start:b.end]]
		if !ok {
			return 0, 0, false
		}
		return id, -float64(m.scores[id]), true
	})
	for _, s := range symbols {
		switch {
		case s.id >= 0:
			dst = append(dst, s.id)
		case m.bytes != nil:
			for i := s.start; i < s.end; i++ {
				dst = append(dst, m.bytes[piece[i]])
			}
		case m.unknown >= 0:
			dst = append(dst, m.unknown)
		}
	}
	return dst
}
