package tokenizer

import (
	"encoding/json"
	"strings"
)

// jsonVocabulary is what the model of a tokenizer.json says: the ids of its pieces, and the model itself, which is made when the
// special tokens have been taken out of ids.
type jsonVocabulary struct {
	ids   map[string]int
	unk   int // -1 when there is none
	model func() (model, error)
}

// pieces reads a vocabulary that is an object of ids.
func (m *jsonModel) pieces() (map[string]int, error) {
	var vocab map[string]int
	if err := json.Unmarshal(m.Vocab, &vocab); err != nil || vocab == nil {
		return nil, malformed("model.vocab", "not an object of numbers: %v", err)
	}
	if len(vocab) > MaxVocab {
		return nil, malformed("model.vocab", "%d tokens exceed the limit of %d", len(vocab), MaxVocab)
	}
	return vocab, nil
}

// unknown returns the id of the unknown token, -1 when there is none.
func (m *jsonModel) unknown(vocab map[string]int) (int, error) {
	if m.UnkToken == nil {
		return -1, nil
	}
	id, ok := vocab[*m.UnkToken]
	if !ok {
		return -1, malformed("model.unk_token", "%.80q is not in the vocabulary", *m.UnkToken)
	}
	return id, nil
}

// readBPE reads a vocabulary and its merges, which are written "left right" or ["left","right"].
func readBPE(m jsonModel) (*jsonVocabulary, error) {
	switch {
	case m.ContinuingSubwordPrefix != nil && *m.ContinuingSubwordPrefix != "", m.EndOfWordSuffix != nil && *m.EndOfWordSuffix != "":
		return nil, unsupported("BPE with a subword prefix or suffix")
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, unsupported("BPE with dropout, which is not deterministic")
	}
	vocab, err := m.pieces()
	if err != nil {
		return nil, err
	}
	var pairs [][2]string
	var lines []string
	if err := json.Unmarshal(m.Merges, &lines); err == nil {
		if pairs, err = splitMerges(lines); err != nil {
			return nil, err
		}
	} else if err := json.Unmarshal(m.Merges, &pairs); err != nil {
		return nil, malformed("model.merges", "%v", err)
	}
	b, err := newBPE(vocab, pairs)
	if err != nil {
		return nil, err
	}
	b.fuseUnk, b.wholeWords = m.FuseUnk, m.IgnoreMerges
	if m.ByteFallback {
		b.bytes = byteTokens(vocab)
	}
	if b.unk, err = m.unknown(vocab); err != nil {
		return nil, err
	}
	return &jsonVocabulary{vocab, b.unk, func() (model, error) { return b, nil }}, nil
}

func readWordPiece(m jsonModel) (*jsonVocabulary, error) {
	vocab, err := m.pieces()
	if err != nil {
		return nil, err
	}
	w := &wordPiece{ids: vocab, inner: "##", maxChars: 100}
	if m.ContinuingSubwordPrefix != nil {
		w.inner = *m.ContinuingSubwordPrefix
	}
	if m.MaxChars != nil {
		if w.maxChars = *m.MaxChars; w.maxChars < 1 {
			return nil, malformed("model.max_input_chars_per_word", "%d", w.maxChars)
		}
	}
	if w.unk, err = m.unknown(vocab); err != nil {
		return nil, err
	}
	if w.longest, err = longestPiece(vocab); err != nil {
		return nil, err
	}
	return &jsonVocabulary{vocab, w.unk, func() (model, error) { return w, nil }}, nil
}

// wordLevel looks each word up.
type wordLevel struct {
	ids map[string]int
	unk int
}

func (m *wordLevel) encode(ids []int, word string) []int {
	if id, ok := m.ids[word]; ok {
		return append(ids, id)
	}
	if m.unk < 0 {
		return ids
	}
	return append(ids, m.unk)
}

func readWordLevel(m jsonModel) (*jsonVocabulary, error) {
	vocab, err := m.pieces()
	if err != nil {
		return nil, err
	}
	unk, err := m.unknown(vocab)
	if err != nil {
		return nil, err
	}
	return &jsonVocabulary{vocab, unk, func() (model, error) { return &wordLevel{vocab, unk}, nil }}, nil
}

// scored is a piece and its score, written ["piece", -1.5].
type scored struct {
	piece string
	score float64
}

func (s *scored) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&s.piece, &s.score})
}

// readUnigram reads a list of pieces with scores; their places are their ids.
func readUnigram(m jsonModel) (*jsonVocabulary, error) {
	var list []scored
	if err := json.Unmarshal(m.Vocab, &list); err != nil || list == nil {
		return nil, malformed("model.vocab", "not a list of pieces and scores: %v", err)
	}
	if len(list) > MaxVocab {
		return nil, malformed("model.vocab", "%d tokens exceed the limit of %d", len(list), MaxVocab)
	}
	v := &jsonVocabulary{ids: make(map[string]int, len(list)), unk: -1}
	low := 0.0
	for id, s := range list {
		if s.piece != "" {
			v.ids[s.piece] = id
		}
		low = min(low, s.score)
	}
	if m.UnkID != nil {
		if v.unk = *m.UnkID; v.unk < 0 || v.unk >= len(list) {
			return nil, malformed("model.unk_id", "%d is not from 0 to %d", v.unk, len(list)-1)
		}
	}
	v.model = func() (model, error) {
		u, err := newUnigram(v.ids, func(id int) float64 { return list[id].score }, v.unk)
		if err != nil {
			return nil, err
		}
		u.low = low - unknownPenalty
		if m.ByteFallback {
			u.bytes = byteTokens(v.ids)
		}
		return u, nil
	}
	return v, nil
}

func splitMerges(lines []string) ([][2]string, error) {
	pairs := make([][2]string, len(lines))
	for i, l := range lines {
		// The space that divides is the second character's first: a token can begin with one in no format in use.
		at := -1
		if len(l) > 0 {
			at = strings.IndexByte(l[1:], ' ') + 1
		}
		if at < 1 || at == len(l)-1 {
			return nil, malformed("merges", "line %d, %.80q, is no pair", i, l)
		}
		pairs[i] = [2]string{l[:at], l[at+1:]}
	}
	return pairs, nil
}

func newBPE(vocab map[string]int, pairs [][2]string) (*bpe, error) {
	if len(pairs) > MaxMerges {
		return nil, malformed("merges", "%d exceed the limit of %d", len(pairs), MaxMerges)
	}
	b := &bpe{ids: vocab, merges: make(map[uint64]mergeRule, len(pairs)), unk: -1}
	for rank, p := range pairs {
		left, okLeft := vocab[p[0]]
		right, okRight := vocab[p[1]]
		merged, okMerged := vocab[p[0]+p[1]]
		if !okLeft || !okRight || !okMerged {
			return nil, malformed("merges", "pair %d, %.80q and %.80q, is not in the vocabulary", rank, p[0], p[1])
		}
		key := uint64(left)<<32 | uint64(right)
		if _, twice := b.merges[key]; !twice {
			b.merges[key] = mergeRule{int32(rank), int32(merged)}
		}
	}
	return b, nil
}
