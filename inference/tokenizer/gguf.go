package tokenizer

import (
	"strings"

	"github.com/carat-hub/carat/inference/gguf"
)

// The token types of a GGUF vocabulary that matter here.
const (
	typeUnknown     = 2
	typeControl     = 3
	typeUserDefined = 4
)

// GGUFKind returns the kind for a value of tokenizer.ggml.model: "bpe", "spm", "wordpiece", "unigram", or the value itself.
func GGUFKind(model string) string {
	switch model {
	case "gpt2":
		return "bpe"
	case "llama":
		return "spm"
	case "bert":
		return "wordpiece"
	case "t5":
		return "unigram"
	}
	return model
}

// FromGGUF reads the vocabulary of a GGUF file: models "gpt2", "llama", "bert" and "t5". It returns a *fault.Unsupported for another model or
// split, a *fault.Malformed for a damaged vocabulary, and the errors of reading.
func FromGGUF(f *gguf.File) (*Tokenizer, error) {
	kind := GGUFKind(f.Text("tokenizer.ggml.model", ""))
	read := map[string]func(*Tokenizer, *gguf.File, map[string]int) error{
		"bpe": (*Tokenizer).bpeFromGGUF, "spm": (*Tokenizer).spmFromGGUF, "wordpiece": (*Tokenizer).wordPieceFromGGUF, "unigram": (*Tokenizer).unigramFromGGUF,
	}[kind]
	if read == nil {
		return nil, unsupported("GGUF vocabulary %.40q", f.Text("tokenizer.ggml.model", ""))
	}
	pieces, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return nil, err
	}
	var types []int64
	if _, ok := f.Value("tokenizer.ggml.token_type"); ok {
		if types, err = f.Ints("tokenizer.ggml.token_type"); err != nil {
			return nil, err
		}
		if len(types) != len(pieces) {
			return nil, malformed("tokenizer.ggml.token_type", "%d types for %d tokens", len(types), len(pieces))
		}
	}
	vocab := make(map[string]int, len(pieces))
	var added []addedToken
	for id, p := range pieces {
		// A piece that occurs twice keeps its first id, as the text can only become one of them.
		if _, twice := vocab[p]; !twice && p != "" {
			vocab[p] = id
		}
		if types == nil || p == "" || len(p) > maxPiece {
			continue
		}
		if k := types[id]; k == typeUnknown || k == typeControl || k == typeUserDefined {
			added = append(added, addedToken{id: id, content: p, special: k != typeUserDefined})
		}
	}
	t, err := newTokenizer(kind, vocab, added)
	if err != nil {
		return nil, err
	}
	if len(t.pieces) < len(pieces) {
		t.pieces = append(t.pieces, make([]string, len(pieces)-len(t.pieces))...)
	}
	copy(t.pieces, pieces)
	return t, read(t, f, vocab)
}

// specials are the ids of special tokens, and whether they are put around a text, where the file does not say; -1 is none.
type specials struct {
	bos, eos, unk  int
	addBOS, addEOS bool
}

func (t *Tokenizer) specialIDs(f *gguf.File, def specials) error {
	for _, s := range []struct {
		to  *int
		key string
		def int
	}{
		{&t.bos, "tokenizer.ggml.bos_token_id", def.bos},
		{&t.eos, "tokenizer.ggml.eos_token_id", def.eos},
		{&t.unk, "tokenizer.ggml.unknown_token_id", def.unk},
	} {
		id, err := t.specialID(f, s.key, s.def)
		if err != nil {
			return err
		}
		if *s.to = id; id >= 0 {
			t.special[id] = true
		}
	}
	if t.bos >= 0 && f.Bool("tokenizer.ggml.add_bos_token", def.addBOS) {
		t.prefix = []int{t.bos}
	}
	if t.eos >= 0 && f.Bool("tokenizer.ggml.add_eos_token", def.addEOS) {
		t.suffix = []int{t.eos}
	}
	return nil
}

// specialID reads an id, -1 for none.
func (t *Tokenizer) specialID(f *gguf.File, key string, def int) (int, error) {
	id := f.Int(key, int64(def))
	const none = 1<<32 - 1 // what -1 becomes in an unsigned key
	if _, given := f.Value(key); id < 0 || id == none || !given && id >= int64(len(t.pieces)) {
		return -1, nil
	}
	if id >= int64(len(t.pieces)) {
		return -1, malformed(key, "id %d is not from 0 to %d", id, len(t.pieces)-1)
	}
	return int(id), nil
}

func (t *Tokenizer) bpeFromGGUF(f *gguf.File, vocab map[string]int) error {
	pre := f.Text("tokenizer.ggml.pre", "")
	known, ok := preSplits[pre]
	if !ok {
		return unsupported("pre-tokenizer %.40q of a GGUF vocabulary", pre)
	}
	merges, err := f.StringBytes("tokenizer.ggml.merges")
	if err != nil {
		return err
	}
	b, err := newBPE(vocab, func(each func(left, right []byte) error) error {
		for line := range merges {
			left, right, err := splitMerge(line)
			if err == nil {
				err = each(left, right)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.wholeWords = known.wholeWords
	t.model = b
	for _, p := range known.patterns {
		split, err := compileSplit(p, isolated)
		if err != nil {
			return err
		}
		t.splitters = append(t.splitters, split)
	}
	t.splitters = append(t.splitters, byteLevel)
	t.decoders = []decoder{decodeByteLevel}
	if err := t.specialIDs(f, specials{bos: -1, eos: -1, unk: -1, addBOS: known.addBOS}); err != nil {
		return err
	}
	if known.addSEP {
		if err := t.endWithSEP(f, t.eos); err != nil {
			return err
		}
	}
	if len(t.prefix) > 0 && len(t.suffix) > 0 {
		t.pairOf(pre == "roberta-bpe")
	}
	return nil
}

// endWithSEP puts the token that separates texts behind them, where the file does not say otherwise.
func (t *Tokenizer) endWithSEP(f *gguf.File, def int) error {
	const key = "tokenizer.ggml.seperator_token_id" // as the format spells it
	sep, err := t.specialID(f, key, def)
	if err == nil && sep >= 0 && f.Bool("tokenizer.ggml.add_sep_token", true) {
		t.special[sep] = true
		t.suffix = []int{sep}
	}
	return err
}

func (t *Tokenizer) spmFromGGUF(f *gguf.File, vocab map[string]int) error {
	scores, err := f.Floats("tokenizer.ggml.scores")
	if err != nil {
		return err
	}
	m := &spm{ids: vocab, scores: make([]float32, len(scores)), bytes: byteTokens(vocab)}
	for i, s := range scores {
		m.scores[i] = float32(s)
	}
	if err := t.specialIDs(f, specials{bos: 1, eos: 2, unk: 0, addBOS: true}); err != nil {
		return err
	}
	m.unk = t.unk
	t.model = m
	const mark = "▁"
	t.decoders = []decoder{each(func(s string) string { return strings.ReplaceAll(s, mark, " ") }), decodeBytes, fuse}
	prefix := ""
	if f.Bool("tokenizer.ggml.add_space_prefix", true) {
		prefix = " "
		t.decoders = append(t.decoders, strip(" ", 1, 0))
	}
	t.normalizers = []func(string) string{func(s string) string { return strings.ReplaceAll(prefix+s, " ", mark) }}
	return nil
}

// wordPieceFromGGUF reads a vocabulary that marks the pieces that begin a word.
func (t *Tokenizer) wordPieceFromGGUF(f *gguf.File, vocab map[string]int) error {
	cls, err := t.specialID(f, "tokenizer.ggml.cls_token_id", 101)
	if err != nil {
		return err
	}
	if err := t.specialIDs(f, specials{bos: cls, eos: -1, unk: 100, addBOS: true}); err != nil {
		return err
	}
	if err := t.endWithSEP(f, 102); err != nil {
		return err
	}
	t.pairOf(false)
	const mark = "▁"
	m := &wordPiece{ids: vocab, first: mark, unk: t.unk}
	if m.longest, err = longestPiece(vocab); err != nil {
		return err
	}
	t.model = m
	lower := f.Bool("tokenizer.ggml.normalizer.lowercase", true)
	t.normalizers = []func(string) string{bertNormalizer(bertOptions{clean: true, chinese: true, accents: f.Bool("tokenizer.ggml.normalizer.strip_accents", lower), lower: lower})}
	t.splitters = []splitter{bertSplit}
	t.decoders = []decoder{decodeWords(mark, "", true)}
	return nil
}

// unigramFromGGUF reads a SentencePiece vocabulary whose scores are probabilities, with its normalization.
func (t *Tokenizer) unigramFromGGUF(f *gguf.File, vocab map[string]int) error {
	scores, err := f.Floats("tokenizer.ggml.scores")
	if err != nil {
		return err
	}
	if len(scores) < len(t.pieces) {
		return malformed("tokenizer.ggml.scores", "%d scores for %d tokens", len(scores), len(t.pieces))
	}
	if err := t.specialIDs(f, specials{bos: -1, eos: 1, unk: 2, addEOS: true}); err != nil {
		return err
	}
	if len(t.prefix) > 0 && len(t.suffix) > 0 {
		t.pairOf(true)
	}
	m, err := newUnigram(vocab, func(id int) float64 { return scores[id] }, t.unk)
	if err != nil {
		return err
	}
	t.model = m
	const mapKey = "tokenizer.ggml.precompiled_charsmap"
	if _, ok := f.Value(mapKey); ok {
		values, err := f.Ints(mapKey)
		if err != nil {
			return err
		}
		b := make([]byte, len(values))
		for i, v := range values {
			b[i] = byte(v)
		}
		if len(b) > 0 {
			charsmap, err := newCharsmap(b)
			if err != nil {
				return err
			}
			t.normalizers = append(t.normalizers, charsmap.normalize)
		}
	}
	const mark = "▁"
	collapse, prefix := f.Bool("tokenizer.ggml.remove_extra_whitespaces", false), f.Bool("tokenizer.ggml.add_space_prefix", true)
	t.normalizers = append(t.normalizers, func(s string) string {
		if collapse {
			s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == ' ' }), " ")
		}
		if prefix && s != "" {
			s = " " + s
		}
		return strings.ReplaceAll(s, " ", mark)
	})
	t.decoders = []decoder{each(func(s string) string { return strings.ReplaceAll(s, mark, " ") }), fuse}
	if prefix {
		t.decoders = append(t.decoders, strip(" ", 1, 0))
	}
	return nil
}
