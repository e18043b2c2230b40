package tokenizer

import (
	"bytes"
	"strconv"

	"github.com/carat-hub/carat/inference/internal/jsonwalk"
)

// jsonVocabulary is what the model of a tokenizer.json says: the ids of its pieces, and the model itself, which is made when the
// special tokens have been taken out of ids.
type jsonVocabulary struct {
	ids   map[string]int
	unk   int // -1 when there is none
	model func() (model, error)
}

// entryBytes is about what a token and its id, or a merge, takes in a file: room is made for as many entries as a file could
// hold of them, because any number of short ones may be the same. A score takes half as much again.
const entryBytes = 16

// maxKey bounds a token as it is written.
const maxKey = 32 << 10

// pieces reads a vocabulary that is an object of ids.
func (m *jsonModel) pieces() (map[string]int, error) {
	n := 0
	ok, err := jsonwalk.EachMember(m.vocab, func(_, _ []byte) error {
		if n++; n > MaxVocab {
			return malformed("model.vocab", "more than %d tokens", MaxVocab)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, malformed("model.vocab", "not an object")
	}
	vocab := make(map[string]int, min(n, len(m.vocab)/entryBytes))
	var all jsonwalk.Arena
	var text []byte
	_, err = jsonwalk.EachMember(m.vocab, func(key, value []byte) error {
		if len(key) > maxKey {
			return malformed("model.vocab", "a token of %d bytes", len(key))
		}
		id, err := strconv.Atoi(string(value))
		if text, ok = jsonwalk.AppendText(text[:0], key); !ok || err != nil {
			return malformed("model.vocab", "the id %.40q of %.80q is no number", value, key)
		}
		if _, twice := vocab[string(text)]; !twice {
			vocab[all.Add(text)] = id
			return nil
		}
		vocab[string(text)] = id
		return nil
	})
	return vocab, err
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
	b, err := newBPE(vocab, m.eachMerge)
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

// eachMerge calls f for the pairs of merges in order. They hold until the next call.
func (m *jsonModel) eachMerge(f func(left, right []byte) error) error {
	var line, other []byte
	ok, err := jsonwalk.EachItem(m.merges, func(value []byte) error {
		if len(value) > maxKey {
			return malformed("model.merges", "a pair of %d bytes", len(value))
		}
		if value[0] != '[' {
			var ok bool
			if line, ok = jsonwalk.AppendText(line[:0], value); !ok {
				return malformed("model.merges", "%.80q is no pair", value)
			}
			left, right, err := splitMerge(line)
			if err != nil {
				return err
			}
			return f(left, right)
		}
		n, valid := 0, true
		_, err := jsonwalk.EachItem(value, func(half []byte) (err error) {
			var ok bool
			switch n++; n {
			case 1:
				line, ok = jsonwalk.AppendText(line[:0], half)
			case 2:
				other, ok = jsonwalk.AppendText(other[:0], half)
			}
			valid = valid && ok
			return nil
		})
		if err != nil || n != 2 || !valid {
			return malformed("model.merges", "%.80q is no pair", value)
		}
		return f(line, other)
	})
	if !ok {
		return malformed("model.merges", "not an array")
	}
	return err
}

// readUnigram reads a list of pieces with scores; their places are their ids.
func readUnigram(m jsonModel) (*jsonVocabulary, error) {
	n := 0
	ok, err := jsonwalk.EachItem(m.vocab, func([]byte) error {
		if n++; n > MaxVocab {
			return malformed("model.vocab", "more than %d tokens", MaxVocab)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, malformed("model.vocab", "not an array")
	}
	v := &jsonVocabulary{ids: make(map[string]int, min(n, len(m.vocab)/(entryBytes*3/2))), unk: -1}
	scores := make([]float64, 0, n)
	low := 0.0
	var all jsonwalk.Arena
	var text []byte
	if _, err = jsonwalk.EachItem(m.vocab, func(value []byte) error {
		if len(value) > maxKey {
			return malformed("model.vocab", "a piece of %d bytes", len(value))
		}
		parts, score, valid := 0, 0.0, true
		isList, _ := jsonwalk.EachItem(value, func(part []byte) error {
			var ok bool
			switch parts++; parts {
			case 1:
				text, ok = jsonwalk.AppendText(text[:0], part)
			case 2:
				f, err := strconv.ParseFloat(string(part), 64)
				score, ok = f, err == nil
			}
			valid = valid && ok
			return nil
		})
		if !isList || parts != 2 || !valid {
			return malformed("model.vocab", "%.80q is no piece and its score", value)
		}
		if _, twice := v.ids[string(text)]; twice {
			v.ids[string(text)] = len(scores)
		} else if len(text) > 0 {
			v.ids[all.Add(text)] = len(scores)
		}
		scores = append(scores, score)
		low = min(low, score)
		return nil
	}); err != nil {
		return nil, err
	}
	if m.UnkID != nil {
		if v.unk = *m.UnkID; v.unk < 0 || v.unk >= len(scores) {
			return nil, malformed("model.unk_id", "%d is not from 0 to %d", v.unk, len(scores)-1)
		}
	}
	v.model = func() (model, error) {
		u, err := newUnigram(v.ids, func(id int) float64 { return scores[id] }, v.unk)
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

// splitMerge cuts a line of two pieces with a space between them. The space that divides is the second byte's first: a token can
// begin with one in no format in use.
func splitMerge(line []byte) (left, right []byte, err error) {
	at := -1
	if len(line) > 0 {
		at = bytes.IndexByte(line[1:], ' ') + 1
	}
	if at < 1 || at == len(line)-1 {
		return nil, nil, malformed("merges", "line %.80q is no pair", line)
	}
	return line[:at], line[at+1:], nil
}

// newBPE makes the rules of merges, of which each calls its argument for every pair in order.
func newBPE(vocab map[string]int, each func(f func(left, right []byte) error) error) (*bpe, error) {
	n := 0
	bytes := 0
	if err := each(func(l, r []byte) error {
		if n++; n > MaxMerges {
			return malformed("merges", "more than %d", MaxMerges)
		}
		bytes += len(l) + len(r)
		return nil
	}); err != nil {
		return nil, err
	}
	b := &bpe{ids: vocab, merges: make(map[uint64]mergeRule, min(n, bytes/6)), unk: -1}
	rank := int32(0)
	var joined []byte
	return b, each(func(l, r []byte) error {
		joined = append(append(joined[:0], l...), r...)
		left, okLeft := vocab[string(l)]
		right, okRight := vocab[string(r)]
		merged, okMerged := vocab[string(joined)]
		if !okLeft || !okRight || !okMerged {
			return malformed("merges", "pair %d, %.80q and %.80q, is not in the vocabulary", rank, l, r)
		}
		key := uint64(left)<<32 | uint64(right)
		if _, twice := b.merges[key]; !twice {
			b.merges[key] = mergeRule{rank, int32(merged)}
		}
		rank++
		return nil
	})
}
