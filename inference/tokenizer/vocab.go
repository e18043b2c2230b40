package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// Vocab is the vocabulary of a GGUF file: its tokenizer.ggml.* keys.
type Vocab struct {
	Model  string   // tokenizer.ggml.model: "llama" (SentencePiece) or "gpt2" (byte-level BPE)
	Pre    string   // tokenizer.ggml.pre, for "gpt2"
	Tokens []string // by id
	Scores []float32
	Types  []int32  // tokenizer.ggml.token_type, may be nil
	Merges []string // for "gpt2"

	BOS, EOS, Unknown int // -1 = none

	// What the file says, nil where it says nothing and the model's default holds.
	AddBOS, AddEOS, AddSpacePrefix *bool
}

// Token types of GGUF.
const (
	typeControl     = 3
	typeUserDefined = 4
)

// The names that GGUF gives pre-tokenizers. Source: llama.cpp, which writes
// them.
var (
	preGPT2   = []string{"gpt-2", "mpt", "olmo", "jais"}
	preLlama3 = []string{"llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe"}
	preQwen2  = []string{"qwen2", "stablelm2", "deepseek-r1-qwen"}
	preDigits = []string{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"} // digits one by one, then as GPT-2
)

// FromVocab returns the tokenizer of a GGUF vocabulary. Errors:
// *UnsupportedError; others when the vocabulary contradicts itself.
func FromVocab(v Vocab) (*Tokenizer, error) {
	if len(v.Tokens) > maxTokens {
		return nil, fmt.Errorf("the vocabulary has %d tokens; at most %d are allowed", len(v.Tokens), maxTokens)
	}
	if v.Types != nil && len(v.Types) != len(v.Tokens) {
		return nil, fmt.Errorf("there are %d token types for %d tokens", len(v.Types), len(v.Tokens))
	}
	ids := make(map[string]int, len(v.Tokens))
	for id, token := range v.Tokens {
		if _, twice := ids[token]; !twice {
			ids[token] = id
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the vocabulary is empty")
	}
	t := &Tokenizer{vocab: &vocabulary{tokens: slices.Clone(v.Tokens), ids: ids}, bos: -1, eos: -1}
	if v.BOS >= 0 && v.BOS < len(v.Tokens) {
		t.bos = v.BOS
	}
	if v.EOS >= 0 && v.EOS < len(v.Tokens) {
		t.eos = v.EOS
	}
	var added []addedToken
	for id, kind := range v.Types {
		if kind == typeControl || kind == typeUserDefined {
			added = append(added, addedToken{id: id, text: v.Tokens[id], special: kind == typeControl})
		}
	}
	var err error
	if t.added, err = newAddedTokens(added); err != nil {
		return nil, err
	}
	var addBOS bool
	switch v.Model {
	case "llama":
		addBOS, err = true, t.fromSentencePiece(v)
	case "gpt2":
		addBOS, err = slices.Contains(preLlama3, v.Pre), t.fromByteLevel(v)
	default:
		err = unsupported("tokenizer", "GGUF model %.40q", v.Model)
	}
	if err != nil {
		return nil, err
	}
	if t.bos >= 0 && orDefault(v.AddBOS, addBOS) {
		t.prefix = []int{t.bos}
	}
	if t.eos >= 0 && orDefault(v.AddEOS, false) {
		t.suffix = []int{t.eos}
	}
	return t, nil
}

func orDefault(p *bool, otherwise bool) bool {
	if p != nil {
		return *p
	}
	return otherwise
}

func (t *Tokenizer) fromSentencePiece(v Vocab) error {
	if len(v.Scores) != len(v.Tokens) {
		return fmt.Errorf("there are %d scores for %d tokens", len(v.Scores), len(v.Tokens))
	}
	m := &spm{vocab: t.vocab, scores: v.Scores, unknown: -1}
	if v.Unknown >= 0 && v.Unknown < len(v.Tokens) {
		m.unknown = v.Unknown
	}
	if ids, ok := t.vocab.byteIDs(); ok {
		m.bytes = &ids
	}
	space := orDefault(v.AddSpacePrefix, true)
	t.kind, t.model = "spm", m
	t.normalize = []normalizer{func(text string, first bool) string {
		if space && first {
			text = " " + text
		}
		return strings.ReplaceAll(text, " ", "\u2581")
	}}
	t.decoder = decoder{fallback: true, spaces: true, stripFirst: space}
	return nil
}

func (t *Tokenizer) fromByteLevel(v Vocab) error {
	merges := make([][2]string, 0, len(v.Merges))
	for _, s := range v.Merges {
		m, err := parseMerge(s)
		if err != nil {
			return err
		}
		merges = append(merges, m)
	}
	m, err := newBPE(t.vocab, merges)
	if err != nil {
		return err
	}
	m.toMapped = true
	switch {
	case slices.Contains(preGPT2, v.Pre):
		t.split = []splitter{gpt2Scanner.split}
	case slices.Contains(preLlama3, v.Pre):
		t.split = []splitter{llama3Scanner.split}
		m.wholes = true
	case slices.Contains(preQwen2, v.Pre):
		t.split = []splitter{qwen2Scanner.split}
	case slices.Contains(preDigits, v.Pre):
		t.split = []splitter{splitDigits, gpt2Scanner.split}
	default:
		return unsupported("pre-tokenizer", "GGUF name %.40q", v.Pre)
	}
	t.kind, t.model, t.decoder = "bpe-bytes", m, decoder{bytes: true}
	return nil
}
