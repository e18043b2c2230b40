package tokenizer

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/gguf"
)

// splitNames are the tokenizer.ggml.pre names that SetGGUF tries, those in wide use first. Of names for the same split one is here.
var splitNames = []string{
	"llama-bpe", "gpt-2", "qwen2", "gpt-4o", "tekken", "smollm", "deepseek-v3", "deepseek-llm", "deepseek-coder", "falcon", "dbrx",
	"qwen35", "seed-coder", "bloom", "viking", "default",
}

// probe is a text that tokenizers of different ways cut differently: runs of spaces, line ends, digits, cases, scripts,
// marks, symbols, and what they meet in.
const probe = "The quick brown fox jumps over 13 lazy dogs.  It's 2024-11-25, isn't it? I'LL SAY WE'VE DONE THAT; they'd\tagree \n\n  \n" +
	"   three spaces   and trailing \t\n x=1234567890; y = 0x1F + 3.14159e-10 // comment\r\n\r\nfor(i=0;i<n;++i){a[i]+=b[i]*c;}\n\n\n" +
	"HTMLParser camelCase snake_case_name SCREAMING_CASE e-mail@example.org https://example.org/a?b=c&d=%20 #tag $5.00 €12,50 100%\n" +
	"naïve façade coöperate Ångström ſ ß Straße résumé ÀÉÎÕÜ i\u0307 a\u0301b e\u0301\u0323 ﬁ ﬃ Ⅷ ½ ²³ ①②\u00a0nbsp\u2003em\u200bzero\u3000wide\n" +
	"Привет, мир! Съешь ещё этих мягких французских булок. Γειά σου Κόσμε 你好，世界！这是一个测试。今日は良い天気ですね、そうでしょう？ 안녕하세요 세계 " +
	"नमस्ते दुनिया १२३४ สวัสดีชาวโลก שלום עולם مرحبا بالعالم ١٢٣\n" +
	"🚀🚀 😶‍🌫️ 👩‍👩‍👧‍👦 🇩🇪 ✅✔️ ∑∫√≤≥≠ →⇒ «quoted» “curly” ‘single’ … — – ¿qué? ¡sí! ''' \"\"\" ``` === --- *** !!! ??? ... ,,,\n" +
	"1 12 123 1234 12345 a1b22c333 Ａｂｃ１２３ \x01\x7f end"

// SetGGUF adds the vocabulary to w as the keys of a GGUF file, with rows tokens, of which those that the tokenizer does not use are
// filled up. What a GGUF file says is less than what a tokenizer.json says, so the keys are read back and have to give the same
// ids for a text in which ways to tokenize differ. It returns a *fault.Unsupported for a tokenizer that GGUF has no equal for here: all but BPE.
func (t *Tokenizer) SetGGUF(w *gguf.Writer, rows int) error {
	m, ok := t.model.(*bpe)
	if !ok {
		return unsupported("%s vocabularies are not written as GGUF", t.kind)
	}
	if rows < len(t.pieces) {
		return malformed("vocabulary", "%d tokens for %d embeddings", len(t.pieces), rows)
	}
	keys := t.ggufKeys(m, rows)
	if m.bytes != nil {
		spm := append(keys, ggufKey{"tokenizer.ggml.model", "llama"}, ggufKey{"tokenizer.ggml.scores", m.rankScores(t.pieces, rows)})
		for _, prefix := range []bool{true, false} {
			tried := append(slices.Clip(spm), ggufKey{"tokenizer.ggml.add_space_prefix", prefix})
			if same, err := t.sameAs(tried); err != nil || same {
				return set(w, tried, err)
			}
		}
		return unsupported("BPE with byte fallback that does not merge as SentencePiece does")
	}
	name, err := t.splitName(m)
	if err != nil {
		return err
	}
	keys = append(keys, ggufKey{"tokenizer.ggml.model", "gpt2"}, ggufKey{"tokenizer.ggml.pre", name},
		ggufKey{"tokenizer.ggml.merges", m.mergeLines(t.pieces)})
	same, err := t.sameAs(keys)
	if err == nil && !same {
		err = unsupported("BPE with steps that GGUF has no keys for")
	}
	return set(w, keys, err)
}

// splitName returns the name of a split that cuts the probe into the words that t cuts it into.
func (t *Tokenizer) splitName(m *bpe) (string, error) {
	words := cut(t.splitters, probe, true)
	for _, name := range splitNames {
		known := preSplits[name]
		if known.wholeWords != m.wholeWords {
			continue
		}
		var splitters []splitter
		for _, p := range known.patterns {
			split, err := compileSplit(p, isolated)
			if err != nil {
				return "", err
			}
			splitters = append(splitters, split)
		}
		if slices.Equal(cut(append(splitters, byteLevel), probe, true), words) {
			return name, nil
		}
	}
	return "", unsupported("BPE with a pre-tokenizer that GGUF has no name for")
}

// ggufKey is one metadata entry.
type ggufKey struct {
	name  string
	value any
}

func set(w *gguf.Writer, keys []ggufKey, err error) error {
	if err != nil {
		return err
	}
	for _, k := range keys {
		w.Set(k.name, k.value)
	}
	return nil
}

// The token types that only writing needs.
const (
	typeNormal = 1
	typeUnused = 5
	typeByte   = 6
)

// ggufKeys are those that all vocabularies have.
func (t *Tokenizer) ggufKeys(m *bpe, rows int) []ggufKey {
	pieces, types := make([]string, rows), make([]int32, rows)
	for id := range pieces {
		types[id] = typeUnused
		if piece, ok := t.Piece(id); ok {
			pieces[id], types[id] = piece, typeNormal
			if _, isByte := byteToken(piece); isByte && m.bytes != nil {
				types[id] = typeByte
			}
			continue
		}
		pieces[id] = fmt.Sprintf("[PAD%d]", id)
	}
	for _, matcher := range []*matcher{t.rawPlain, t.cookedPlain} {
		for _, a := range matcher.tokens {
			types[a.id] = typeUserDefined
		}
	}
	for id := range t.special {
		types[id] = typeControl
	}
	if t.unk >= 0 && m.bytes != nil {
		types[t.unk] = typeUnknown
	}
	keys := []ggufKey{{"tokenizer.ggml.tokens", pieces}, {"tokenizer.ggml.token_type", types}}
	bos, eos := t.bos, t.eos
	if len(t.prefix) == 1 {
		bos = t.prefix[0]
	}
	if len(t.suffix) == 1 {
		eos = t.suffix[0]
	}
	for _, s := range []ggufKey{{"tokenizer.ggml.bos_token_id", bos}, {"tokenizer.ggml.eos_token_id", eos}, {"tokenizer.ggml.unknown_token_id", t.unk}} {
		if id := s.value.(int); id >= 0 {
			keys = append(keys, ggufKey{s.name, uint32(id)})
		}
	}
	return append(keys, ggufKey{"tokenizer.ggml.add_bos_token", len(t.prefix) > 0}, ggufKey{"tokenizer.ggml.add_eos_token", len(t.suffix) > 0})
}

// pairs are the merges in the order of their ranks.
func (m *bpe) pairs() []uint64 {
	pairs := make([]uint64, 0, len(m.merges))
	for pair := range m.merges {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(a, b uint64) int { return cmp.Compare(m.merges[a].rank, m.merges[b].rank) })
	return pairs
}

func (m *bpe) mergeLines(pieces []string) []string {
	lines := make([]string, 0, len(m.merges))
	for _, pair := range m.pairs() {
		lines = append(lines, pieces[pair>>32]+" "+pieces[uint32(pair)])
	}
	return lines
}

// rankScores are scores by which SentencePiece merges in the order of the ranks: the earlier a token can be made, the higher. What
// no merge makes has the lowest.
func (m *bpe) rankScores(pieces []string, rows int) []float32 {
	scores := make([]float32, rows)
	for id := range scores {
		scores[id] = -float32(len(m.merges) + 1)
		if id >= len(pieces) {
			scores[id] = float32(math.Inf(-1))
		}
	}
	for rank, pair := range slices.Backward(m.pairs()) {
		scores[m.merges[pair].id] = -float32(rank)
	}
	return scores
}

// sameAs reads keys as a GGUF file's and reports whether they give the ids that t gives.
func (t *Tokenizer) sameAs(keys []ggufKey) (bool, error) {
	var w gguf.Writer
	if err := set(&w, keys, nil); err != nil {
		return false, err
	}
	var file bytes.Buffer
	if err := w.Write(&file); err != nil {
		return false, err
	}
	f, err := gguf.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		return false, err
	}
	written, err := FromGGUF(f)
	if err != nil {
		return false, err
	}
	for _, text := range []string{probe, " " + probe, "", " ", "x"} {
		if !slices.Equal(t.Encode(text, true), written.Encode(text, true)) {
			return false, nil
		}
		if ids := t.Encode(text, true); t.Decode(ids) != written.Decode(ids) {
			return false, nil
		}
	}
	return true, nil
}
