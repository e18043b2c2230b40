package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
)

// vocabularies are GGUF keys of a small vocabulary of each kind, with tokens for the first bytes. With all 256 of them, those of
// BPE and SentencePiece can write any text.
func vocabularies(byteTokens int) map[string]map[string]any {
	bytePieces := func(pieces ...string) (list []string, kinds []int32, scores []float32) {
		for b := range byteTokens {
			pieces = append(pieces, fmt.Sprintf("<0x%02X>", b))
		}
		for i, p := range pieces {
			kind := int32(1)
			switch {
			case i < 3:
				kind = 3
			case strings.HasPrefix(p, "<0x"):
				kind = 6
			}
			kinds, scores = append(kinds, kind), append(scores, -float32(i))
		}
		return pieces, kinds, scores
	}
	spm, kinds, scores := bytePieces("<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁a", "▁ab", "é", "<", "|")
	var letters []string
	for b := range max(byteTokens, 'c') {
		letters = append(letters, toByteRunes(string([]byte{byte(b)})))
	}
	pair := toByteRunes(" a")
	bpe := append(letters, "ab", pair, "<|end|>")
	bpeKinds := make([]int32, len(bpe))
	bpeKinds[len(bpe)-1] = 3
	return map[string]map[string]any{
		"spm": {
			"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": spm, "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.scores": scores,
		},
		"bpe": {
			"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": bpe, "tokenizer.ggml.token_type": bpeKinds,
			"tokenizer.ggml.merges": []string{"a b", toByteRunes(" ") + " a"}, "tokenizer.ggml.eos_token_id": uint32(len(bpe) - 1),
		},
		"unigram": unigramKeys(),
		"wordpiece": {
			"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "able", "▁a", "s"},
			"tokenizer.ggml.token_type": []int32{3, 2, 3, 3, 1, 1, 1, 1}, "tokenizer.ggml.unknown_token_id": uint32(1),
			"tokenizer.ggml.cls_token_id": uint32(2), "tokenizer.ggml.seperator_token_id": uint32(3),
		},
	}
}

func FuzzGGUFVocabulary(f *testing.F) {
	for _, keys := range vocabularies(2) {
		var w gguf.Writer
		for k, v := range keys {
			w.Set(k, v)
		}
		var b bytes.Buffer
		if err := w.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), "unable as <s> é🚀")
	}
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		g, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		tok, err := FromGGUF(g)
		if err != nil {
			return
		}
		for _, id := range append(tok.Encode(text, true), tok.EncodePlain(text, true)...) {
			if id < 0 || id >= tok.Size() {
				t.Fatalf("id %d of %d", id, tok.Size())
			}
		}
		tok.Decode(append(tok.Encode(text, false), -1, tok.Size()))
	})
}

// writers are tokenizers that can write any text.
func writers(t testing.TB) map[string]*Tokenizer {
	t.Helper()
	all := map[string]*Tokenizer{"tokenizer.json, byte level": fromJSON(t, filepath.FromSlash(tinyJSON), Config{})}
	for _, kind := range []string{"spm", "bpe"} {
		tok, err := FromGGUF(written(t, vocabularies(256)[kind]))
		if err != nil {
			t.Fatal(kind, err)
		}
		all["GGUF, "+kind] = tok
	}
	var ranks bytes.Buffer
	for b := range 256 {
		fmt.Fprintf(&ranks, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), b)
	}
	fmt.Fprintf(&ranks, "%s 256\n", base64.StdEncoding.EncodeToString([]byte(" a")))
	var err error
	if all["tiktoken"], err = FromTiktoken(ranks.Bytes(), o200kPattern, map[string]int{"<|end|>": 257}); err != nil {
		t.Fatal(err)
	}
	steps := map[string]string{
		"added_tokens": "[]",
		"normalizer":   `{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`,
		"decoder":      `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`,
	}
	ids, list := map[string]int{"<unk>": 0}, [][]any{{"<unk>", 0}}
	for i, p := range vocabularies(256)["spm"]["tokenizer.ggml.tokens"].([]string) {
		if i > 2 {
			ids[p] = len(ids)
			list = append(list, []any{p, -float64(i)})
		}
	}
	for name, model := range map[string]map[string]any{
		"BPE":     {"type": "BPE", "vocab": ids, "merges": []string{"a b", "▁ a", "▁a b"}, "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true},
		"Unigram": {"type": "Unigram", "vocab": list, "unk_id": 0, "byte_fallback": true},
	} {
		b, err := json.Marshal(model)
		if err != nil {
			t.Fatal(err)
		}
		steps["model"] = string(b)
		if all["tokenizer.json, byte fallback, "+name], err = FromJSON(small(steps), Config{}); err != nil {
			t.Fatal(name, err)
		}
	}
	return all
}

// FuzzRoundTrip: with a token for every byte, a text comes back as it was. Those that stand the mark for a space cannot tell the
// two apart.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range texts {
		f.Add(s)
	}
	all := writers(f)
	f.Fuzz(func(t *testing.T, text string) {
		valid := string([]rune(text))
		for name, tok := range all {
			want := valid
			if strings.Contains(name, "fallback") || strings.Contains(name, "spm") {
				want = strings.ReplaceAll(want, "▁", " ")
			}
			if back := tok.Decode(tok.EncodePlain(text, false)); back != want {
				t.Fatalf("%s: %q comes back as %q", name, text, back)
			}
		}
	})
}
