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

// preSplits are the tokenizer.ggml.pre names that can be split, with what is special about them.
var preSplits = map[string]struct {
	split      splitter
	wholeWords bool
	addBOS     bool
}{
	"gpt-2":            {split: gpt2Split},
	"mpt":              {split: gpt2Split},
	"olmo":             {split: gpt2Split},
	"phi-2":            {split: gpt2Split},
	"llama-bpe":        {split: llama3Split(3), wholeWords: true, addBOS: true},
	"llama3":           {split: llama3Split(3), wholeWords: true, addBOS: true},
	"llama-v3":         {split: llama3Split(3), wholeWords: true, addBOS: true},
	"dbrx":             {split: llama3Split(3)},
	"smaug-bpe":        {split: llama3Split(3)},
	"qwen2":            {split: llama3Split(1)},
	"deepseek-r1-qwen": {split: llama3Split(1)},
	"stablelm2":        {split: llama3Split(1)},
}

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

// FromGGUF reads the vocabulary of a GGUF file: models "gpt2" and "llama". It returns a *fault.Unsupported for another model or
// split, a *fault.Malformed for a damaged vocabulary, and the errors of reading.
func FromGGUF(f *gguf.File) (*Tokenizer, error) {
	kind := GGUFKind(f.Text("tokenizer.ggml.model", ""))
	if kind != "bpe" && kind != "spm" {
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
	if kind == "spm" {
		err = t.spmFromGGUF(f, vocab)
	} else {
		err = t.bpeFromGGUF(f, vocab)
	}
	return t, err
}

func (t *Tokenizer) specialIDs(f *gguf.File, bos, eos, unk int, addBOS bool) error {
	for _, s := range []struct {
		to  *int
		key string
		def int
	}{
		{&t.bos, "tokenizer.ggml.bos_token_id", bos},
		{&t.eos, "tokenizer.ggml.eos_token_id", eos},
		{&t.unk, "tokenizer.ggml.unknown_token_id", unk},
	} {
		id := f.Int(s.key, int64(s.def))
		const none = 1<<32 - 1 // what -1 becomes in an unsigned key
		if id < 0 || id == none {
			continue
		}
		if id >= int64(len(t.pieces)) {
			return malformed(s.key, "id %d is not from 0 to %d", id, len(t.pieces)-1)
		}
		*s.to = int(id)
		t.special[int(id)] = true
	}
	if t.bos >= 0 && f.Bool("tokenizer.ggml.add_bos_token", addBOS) {
		t.prefix = []int{t.bos}
	}
	if t.eos >= 0 && f.Bool("tokenizer.ggml.add_eos_token", false) {
		t.suffix = []int{t.eos}
	}
	return nil
}

func (t *Tokenizer) bpeFromGGUF(f *gguf.File, vocab map[string]int) error {
	pre := f.Text("tokenizer.ggml.pre", "")
	known, ok := preSplits[pre]
	if !ok {
		return unsupported("pre-tokenizer %.40q of a GGUF vocabulary", pre)
	}
	lines, err := f.Strings("tokenizer.ggml.merges")
	if err != nil {
		return err
	}
	pairs, err := splitMerges(lines)
	if err != nil {
		return err
	}
	b, err := newBPE(vocab, pairs)
	if err != nil {
		return err
	}
	b.wholeWords = known.wholeWords
	t.model = b
	t.splitters = []splitter{known.split, byteLevel}
	t.decoders = []decoder{decodeByteLevel}
	return t.specialIDs(f, -1, -1, -1, known.addBOS)
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
	if err := t.specialIDs(f, 1, 2, 0, true); err != nil {
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
