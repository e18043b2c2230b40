package tokenizer

import (
	"fmt"
	"strings"
)

// Limits of what a tokenizer may have.
const (
	MaxFileSize = 32 << 20 // bytes of a tokenizer.json
	maxTokens   = 1 << 20  // entries of a vocabulary
	maxMerges   = 4 << 20
	maxAdded    = 1 << 16 // added tokens
	maxParts    = 64      // normalizers, pre-tokenizers or decoders in a sequence
)

// UnsupportedError says that a tokenizer is well formed but uses something
// that this package does not know.
type UnsupportedError struct {
	What   string // "pre-tokenizer", "normalizer", "model" …
	Reason string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("unsupported %s: %s", e.What, e.Reason)
}

func unsupported(what, format string, args ...any) error {
	return &UnsupportedError{What: what, Reason: fmt.Sprintf(format, args...)}
}

// Tokenizer is safe for concurrent use.
type Tokenizer struct {
	kind  string
	vocab *vocabulary
	added *addedTokens

	normalize []normalizer
	split     []splitter
	model     model
	decoder   decoder

	prefix, suffix []int // ids around a text when special tokens are asked for
	bos, eos       int   // -1 when there is none
}

// normalizer rewrites a stretch of text between added tokens. First tells
// that it is the first stretch or follows an added token.
type normalizer func(text string, first bool) string

// splitter cuts a stretch into pieces that are tokenized one by one.
type splitter func(text string) []string

// model tokenizes one piece.
type model interface {
	encode(dst []int, piece string) []int
}

// Kind names the algorithm: "bpe-bytes", "bpe-chars" or "spm".
func (t *Tokenizer) Kind() string { return t.kind }

// Size is the number of ids: every id is below it.
func (t *Tokenizer) Size() int { return len(t.vocab.tokens) }

// Token returns the token of an id as the vocabulary writes it, "" for an
// id out of range.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.vocab.tokens) {
		return ""
	}
	return t.vocab.tokens[id]
}

// ID returns the id of a token as the vocabulary writes it.
func (t *Tokenizer) ID(token string) (int, bool) {
	id, ok := t.vocab.ids[token]
	return id, ok
}

// BOS returns the id of the token that begins a text.
func (t *Tokenizer) BOS() (int, bool) { return t.bos, t.bos >= 0 }

// EOS returns the id of the token that ends a text.
func (t *Tokenizer) EOS() (int, bool) { return t.eos, t.eos >= 0 }

// AddsBOS reports whether texts begin with the BOS token when special tokens
// are asked for.
func (t *Tokenizer) AddsBOS() bool {
	return t.bos >= 0 && len(t.prefix) > 0 && t.prefix[0] == t.bos
}

// Encode returns the ids of a text. Special puts the tokens around it that
// the model expects, such as BOS. Added tokens that occur in the text are
// taken as such. Bytes that are not UTF-8 are kept where the model can.
func (t *Tokenizer) Encode(text string, special bool) []int {
	var ids []int
	if special {
		ids = append(ids, t.prefix...)
	}
	first := true
	for _, stretch := range t.added.cut(text) {
		if stretch.id >= 0 {
			ids = append(ids, stretch.id)
			first = true
			continue
		}
		ids = t.encodeStretch(ids, stretch.text, first)
		first = false
	}
	if special {
		ids = append(ids, t.suffix...)
	}
	return ids
}

func (t *Tokenizer) encodeStretch(ids []int, text string, first bool) []int {
	for _, n := range t.normalize {
		text = n(text, first)
	}
	pieces := []string{text}
	for _, split := range t.split {
		var next []string
		for _, p := range pieces {
			next = append(next, split(p)...)
		}
		pieces = next
	}
	for _, p := range pieces {
		if p != "" {
			ids = t.model.encode(ids, p)
		}
	}
	return ids
}

// Decode returns the text of ids. Special tokens and ids out of range say
// nothing; bytes that form no UTF-8 become U+FFFD.
func (t *Tokenizer) Decode(ids []int) string {
	var out []byte
	for _, id := range ids {
		if id < 0 || id >= len(t.vocab.tokens) || t.added.special[id] {
			continue
		}
		if text, ok := t.added.text[id]; ok {
			out = append(out, text...)
			continue
		}
		out = t.decoder.token(out, t.vocab.tokens[id])
	}
	return strings.ToValidUTF8(string(t.decoder.finish(out)), "\uFFFD")
}

// vocabulary maps tokens to ids and back.
type vocabulary struct {
	tokens []string
	ids    map[string]int
}

// newVocabulary makes a vocabulary of ids; gaps are allowed up to the limit.
func newVocabulary(ids map[string]int) (*vocabulary, error) {
	if len(ids) == 0 || len(ids) > maxTokens {
		return nil, fmt.Errorf("the vocabulary has %d tokens; 1 to %d are allowed", len(ids), maxTokens)
	}
	v := &vocabulary{ids: ids}
	size := 0
	for token, id := range ids {
		if id < 0 || id >= maxTokens {
			return nil, fmt.Errorf("token %.40q has the id %d; ids are below %d", token, id, maxTokens)
		}
		size = max(size, id+1)
	}
	v.tokens = make([]string, size)
	for token, id := range ids {
		if v.tokens[id] != "" {
			return nil, fmt.Errorf("tokens %.40q and %.40q share the id %d", v.tokens[id], token, id)
		}
		v.tokens[id] = token
	}
	return v, nil
}

// byteIDs returns the ids of the tokens <0x00> to <0xFF>; ok is false unless
// all are there.
func (v *vocabulary) byteIDs() (ids [256]int, ok bool) {
	for b := range ids {
		id, ok := v.ids[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			return ids, false
		}
		ids[b] = id
	}
	return ids, true
}
