package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/carat-hub/carat/inference/fault"
)

// The limits of a tokenizer.
const (
	MaxFile   = 32 << 20
	MaxVocab  = 1 << 20
	MaxMerges = 1 << 21
	maxAdded  = 1 << 16
	maxUnused = 1 << 17 // ids
	maxPiece  = 1 << 12 // bytes of an added token
	maxSteps  = 64      // normalizers, pre-tokenizers or decoders
	maxDepth  = 8       // of nested sequences
)

func malformed(where, format string, args ...any) error {
	return &fault.Malformed{Format: "tokenizer", Where: where, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return fault.NewUnsupported("tokenizer", format, args...)
}

// Tokenizer maps text to token ids. Its methods may be called from several goroutines at once.
type Tokenizer struct {
	kind    string
	pieces  []string       // by id; unused ids are empty
	ids     map[string]int // by piece; those of the model, without special tokens
	added   map[string]int // those of added tokens
	special map[int]bool

	// Added tokens are cut out of the text first: those of raw before, those of cooked after normalization. The plain ones
	// leave special tokens alone.
	raw, cooked, rawPlain, cookedPlain *matcher

	normalizers []func(string) string
	splitters   []splitter
	model       model
	decoders    []decoder

	prefix, suffix []int      // of Encode with addSpecial
	pair           []pairPart // nil when pairs of texts are not told
	bos, eos, unk  int        // -1 when there is none
}

// model turns one piece of text into ids.
type model interface {
	encode(ids []int, text string) []int
}

// Kind returns "bpe" for byte-level and character BPE, "spm" for the BPE of a GGUF file in the way of SentencePiece, "wordpiece",
// "unigram" or "wordlevel".
func (t *Tokenizer) Kind() string { return t.kind }

// Size returns the number of ids: the largest in use plus one.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Encode returns the ids of text. Added and special tokens written out in text become their ids, as tokenizer.json's own library
// does it. With addSpecial the ids that begin and end a text are put around it.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int {
	return t.encode(text, addSpecial, t.raw, t.cooked)
}

// EncodePlain is Encode for text that is not trusted: a special token written out in it is text like any other.
func (t *Tokenizer) EncodePlain(text string, addSpecial bool) []int {
	return t.encode(text, addSpecial, t.rawPlain, t.cookedPlain)
}

func (t *Tokenizer) encode(text string, addSpecial bool, raw, cooked *matcher) []int {
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // as bytes of its own it would take its neighbours with it when it is decoded
	}
	var ids []int
	if addSpecial {
		ids = append(ids, t.prefix...)
	}
	first := true
	raw.split(text, func(s string, id int) {
		if id >= 0 {
			ids = append(ids, id)
			first = false
			return
		}
		for _, n := range t.normalizers {
			s = n(s)
		}
		cooked.split(s, func(s string, id int) {
			if id >= 0 {
				ids = append(ids, id)
			} else {
				ids = t.encodeText(ids, s, first)
			}
			first = false
		})
	})
	if addSpecial {
		ids = append(ids, t.suffix...)
	}
	return ids
}

// pairPart is a piece of a pair of texts: the first or the second, or special tokens. kind is the type of its tokens.
type pairPart struct {
	text int // 1 or 2; 0 for special tokens
	ids  []int
	kind int
}

// Around returns ids between the tokens that begin and end a text, as Encode with addSpecial puts them there.
func (t *Tokenizer) Around(ids []int) []int { return slices.Concat(t.prefix, ids, t.suffix) }

// AroundPair returns two texts with the special tokens that a model wants around a pair, and the type of each token, which is 1 for
// those of the second text in models that tell the two apart. ok is false when the files do not say how pairs are written.
func (t *Tokenizer) AroundPair(first, second []int) (ids, types []int, ok bool) {
	for _, p := range t.pair {
		part := p.ids
		switch p.text {
		case 1:
			part = first
		case 2:
			part = second
		}
		ids = append(ids, part...)
		for range part {
			types = append(types, p.kind)
		}
	}
	return ids, types, t.pair != nil
}

// pairOf sets the way of BERT to write a pair: what ends the first text and all that follows is once there, with types, or twice
// and without.
func (t *Tokenizer) pairOf(twice bool) {
	between, kind := t.suffix, 1
	if twice {
		between, kind = slices.Concat(t.suffix, t.suffix), 0
	}
	t.pair = []pairPart{{ids: t.prefix}, {text: 1}, {ids: between}, {text: 2, kind: kind}, {ids: t.suffix, kind: kind}}
}

func (t *Tokenizer) encodeText(ids []int, s string, first bool) []int {
	for _, w := range cut(t.splitters, s, first) {
		ids = t.model.encode(ids, w)
	}
	return ids
}

// cut returns the words that splitters make of a text, which is the first or not.
func cut(splitters []splitter, text string, first bool) []string {
	words := []string{text}
	for _, split := range splitters {
		var next []string
		for i, w := range words {
			next = split(next, w, first && i == 0)
		}
		words = next
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// Decode returns the text of ids. Special tokens and ids out of range are left out; bytes that are not UTF-8 become U+FFFD.
func (t *Tokenizer) Decode(ids []int) string {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		if p, ok := t.Piece(id); ok && !t.special[id] {
			tokens = append(tokens, p)
		}
	}
	for _, d := range t.decoders {
		tokens = d(tokens)
	}
	var n int
	for _, s := range tokens {
		n += len(s)
	}
	out := make([]byte, 0, n)
	for _, s := range tokens {
		out = append(out, s...)
	}
	return string(out)
}

// Piece returns a token as the vocabulary writes it; ok is false for an id that is not in use.
func (t *Tokenizer) Piece(id int) (piece string, ok bool) {
	if id < 0 || id >= len(t.pieces) || t.pieces[id] == "" {
		return "", false
	}
	return t.pieces[id], true
}

// ID returns the id of a token as the vocabulary writes it.
func (t *Tokenizer) ID(piece string) (id int, ok bool) {
	if id, ok = t.added[piece]; !ok {
		id, ok = t.ids[piece]
	}
	return id, ok
}

// Special reports whether id is a special token, one that stands for no text.
func (t *Tokenizer) Special(id int) bool { return t.special[id] }

// BOS returns the id that begins a text.
func (t *Tokenizer) BOS() (id int, ok bool) { return t.bos, t.bos >= 0 }

// EOS returns the id that ends a text.
func (t *Tokenizer) EOS() (id int, ok bool) { return t.eos, t.eos >= 0 }

// UNK returns the id that stands for what the vocabulary lacks.
func (t *Tokenizer) UNK() (id int, ok bool) { return t.unk, t.unk >= 0 }

// AddsBOS reports whether Encode with addSpecial begins with the BOS token.
func (t *Tokenizer) AddsBOS() bool {
	return t.bos >= 0 && len(t.prefix) > 0 && t.prefix[0] == t.bos
}

// newTokenizer builds the maps for a vocabulary that maps pieces to ids. Special tokens are then taken out of vocab, which is left
// to the model: they are found by the matchers, and untrusted text must not become one.
func newTokenizer(kind string, vocab map[string]int, added []addedToken) (*Tokenizer, error) {
	t := &Tokenizer{kind: kind, ids: vocab, added: map[string]int{}, special: map[int]bool{}, bos: -1, eos: -1, unk: -1}
	largest := -1
	for piece, id := range vocab {
		if id < 0 || id >= MaxVocab {
			return nil, malformed(piece, "id %d is not from 0 to %d", id, MaxVocab-1)
		}
		largest = max(largest, id)
	}
	for _, a := range added {
		if a.id < 0 || a.id >= MaxVocab {
			return nil, malformed(a.content, "id %d is not from 0 to %d", a.id, MaxVocab-1)
		}
		largest = max(largest, a.id)
	}
	if n := len(vocab) + len(added); largest >= n+maxUnused {
		return nil, malformed("vocabulary", "id %d among %d tokens", largest, n)
	}
	t.pieces = make([]string, largest+1)
	for piece, id := range vocab {
		if other := t.pieces[id]; other != "" {
			return nil, malformed(piece, "id %d is that of %.80q too", id, other)
		}
		t.pieces[id] = piece
	}
	for _, a := range added {
		t.pieces[a.id] = a.content
		t.added[a.content] = a.id
		if a.special {
			t.special[a.id] = true
			delete(vocab, a.content)
		}
	}
	return t, t.setAdded(added)
}

func (t *Tokenizer) setAdded(added []addedToken) error {
	if len(added) > maxAdded {
		return malformed("added_tokens", "%d exceed the limit of %d", len(added), maxAdded)
	}
	pick := func(keep func(addedToken) bool) []addedToken {
		return slices.DeleteFunc(slices.Clone(added), func(a addedToken) bool { return !keep(a) })
	}
	t.raw = newMatcher(pick(func(a addedToken) bool { return !a.normalized }))
	t.cooked = newMatcher(pick(func(a addedToken) bool { return a.normalized }))
	t.rawPlain = newMatcher(pick(func(a addedToken) bool { return !a.normalized && !a.special }))
	t.cookedPlain = newMatcher(pick(func(a addedToken) bool { return a.normalized && !a.special }))
	return nil
}
