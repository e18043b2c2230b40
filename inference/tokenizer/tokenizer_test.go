package tokenizer_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// tinyLlama reads the tokenizer of the example model.
func tinyLlama(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	dir := filepath.Join("..", "..", "examples", "tiny-llama")
	return fromFolder(t, dir)
}

func fromFolder(t testing.TB, dir string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.FromJSON(read(t, dir, "tokenizer.json"), read(t, dir, "tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shared returns a folder of reference data that is too large for the
// repository, or skips the test where it is not there.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("CARAT_SHARED_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("reference data is not here (set CARAT_SHARED_DATA): %v", err)
	}
	return dir
}

func TestTinyLlama(t *testing.T) {
	t.Parallel()
	tok := tinyLlama(t)
	// Ids by llama.cpp, from the model's reference figures.
	if diff := cmp.Diff([]int{0, 926, 261, 1889, 1307}, tok.Encode("In the beginning", true)); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	bos, ok := tok.BOS()
	if !ok || bos != 0 || !tok.AddsBOS() || tok.Size() != 2048 || tok.Kind() != "bpe-bytes" {
		t.Errorf("BOS %d %v, adds it %v, size %d, kind %s", bos, ok, tok.AddsBOS(), tok.Size(), tok.Kind())
	}
	ids := tok.Encode("<|user|>hi<|endoftext|>", false)
	if ids[0] != 1 || ids[len(ids)-1] != 0 {
		t.Errorf("added tokens are not found: %v", ids)
	}
	if got := tok.Decode(ids); got != "hi" {
		t.Errorf("decoded %q", got)
	}
}

// texts are for round trips: scripts, spaces, digits, emoji, code.
var texts = []string{
	"", " ", "  ", "\n", "\n\n \t x", "Hello, world!", " leading", "trailing ", "it's, I'LL we'Re", "3 33 333 3333 33333",
	"Äpfel über Straße, naïve café", "нещо на Български", "កាន់តែពិសេស", "我想在apple工作1314151天～", "日本語のテキスト", "مرحبا بالعالم", "שלום עולם",
	"🚀 (normal) 😶‍🌫️ (multiple emojis concatenated)", "func main() {\n\tfmt.Println(\"x\")\n}\n", "a\u00a0b\u2003c", "\x00\x01", strings.Repeat("ab ", 500),
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	tok := tinyLlama(t)
	for _, text := range texts {
		ids := tok.Encode(text, true)
		if got := tok.Decode(ids); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
		for _, id := range ids {
			if id < 0 || id >= tok.Size() {
				t.Errorf("%q: id %d", text, id)
			}
		}
	}
}

func TestStories260K(t *testing.T) {
	t.Parallel()
	tok := fromFolder(t, shared(t, "stories260K"))
	var cases []struct {
		Text string
		IDs  []int
	}
	if err := json.Unmarshal(read(t, shared(t, "tokenizers"), "stories260K.json"), &cases); err != nil {
		t.Fatal(err)
	}
	vocab := vocabOf(t, filepath.Join(shared(t, "gguf"), "stories260K-f32.gguf"))
	fromGGUF, err := tokenizer.FromVocab(vocab)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		if diff := cmp.Diff(tc.IDs, tok.Encode(tc.Text, true)); diff != "" {
			t.Errorf("tokenizer.json, %q (-want +got):\n%s", tc.Text, diff)
		}
		if diff := cmp.Diff(tc.IDs, fromGGUF.Encode(tc.Text, true)); diff != "" {
			t.Errorf("GGUF, %q (-want +got):\n%s", tc.Text, diff)
		}
	}
	for _, text := range texts {
		for name, tok := range map[string]*tokenizer.Tokenizer{"tokenizer.json": tok, "GGUF": fromGGUF} {
			if got := tok.Decode(tok.Encode(text, true)); got != text {
				t.Errorf("%s: %q came back as %q", name, text, got)
			}
		}
	}
}

// vocabOf reads the vocabulary of a GGUF file.
func vocabOf(t testing.TB, path string) tokenizer.Vocab {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	info, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(r, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	v := tokenizer.Vocab{
		Model: f.Text("tokenizer.ggml.model", ""), Pre: f.Text("tokenizer.ggml.pre", ""),
		BOS: int(f.Int("tokenizer.ggml.bos_token_id", -1)), EOS: int(f.Int("tokenizer.ggml.eos_token_id", -1)),
		Unknown: int(f.Int("tokenizer.ggml.unknown_token_id", -1)),
	}
	if v.Tokens, err = f.Strings("tokenizer.ggml.tokens"); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Value("tokenizer.ggml.merges"); ok {
		if v.Merges, err = f.Strings("tokenizer.ggml.merges"); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := f.Value("tokenizer.ggml.scores"); ok {
		scores, err := f.Floats("tokenizer.ggml.scores")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scores {
			v.Scores = append(v.Scores, float32(s))
		}
	}
	kinds, err := f.Ints("tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		v.Types = append(v.Types, int32(k))
	}
	return v
}

// TestVocabularies holds the vocabularies of known models to the ids that
// llama.cpp's own tests expect.
func TestVocabularies(t *testing.T) {
	t.Parallel()
	dir := shared(t, "tokenizers")
	for _, name := range []string{"llama-spm", "llama-bpe", "gpt-2", "qwen2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := "ggml-vocab-" + name + ".gguf"
			tok, err := tokenizer.FromVocab(vocabOf(t, filepath.Join(dir, file)))
			if err != nil {
				t.Fatal(err)
			}
			inputs := strings.Split(strings.TrimSuffix(string(read(t, dir, file+".inp")), "\n__ggml_vocab_test__\n"), "\n__ggml_vocab_test__\n")
			lines := strings.Split(strings.TrimSuffix(string(read(t, dir, file+".out")), "\n"), "\n")
			if len(inputs) != len(lines) {
				t.Fatalf("%d texts, %d lines of ids", len(inputs), len(lines))
			}
			for i, text := range inputs {
				var want []int
				for _, field := range strings.Fields(lines[i]) {
					id, err := strconv.Atoi(field)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, id)
				}
				if diff := cmp.Diff(want, tok.Encode(text, false)); diff != "" {
					t.Errorf("%q (-want +got):\n%s", text, diff)
				}
			}
		})
	}
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	const bpe = `"model":{"type":"BPE","vocab":{"a":0},"merges":[]}`
	for what, p := range map[string]string{
		"WordPiece":  `{"model":{"type":"WordPiece","vocab":{"a":0}}}`,
		"normalizer": `{"normalizer":{"type":"Precompiled"},` + bpe + `}`,
		"lookahead":  `{"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"a(?!b)"}},` + bpe + `}`,
		"behavior":   `{"pre_tokenizer":{"type":"Split","behavior":"Removed","pattern":{"Regex":"a"}},` + bpe + `}`,
		"decoder":    `{"decoder":{"type":"CTC"},` + bpe + `}`,
		"processor":  `{"post_processor":{"type":"Other"},` + bpe + `}`,
	} {
		var u *tokenizer.UnsupportedError
		if _, err := tokenizer.FromJSON([]byte(p), nil); !errors.As(err, &u) || u.Reason == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	var u *tokenizer.UnsupportedError
	for _, v := range []tokenizer.Vocab{{Model: "t5", Tokens: []string{"a"}}, {Model: "gpt2", Pre: "new", Tokens: []string{"a"}}} {
		if _, err := tokenizer.FromVocab(v); !errors.As(err, &u) {
			t.Errorf("%+v: %v", v, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]string{
		"nothing":         ``,
		"no model":        `{}`,
		"no vocabulary":   `{"model":{"type":"BPE","merges":[]}}`,
		"empty":           `{"model":{"type":"BPE","vocab":{},"merges":[]}}`,
		"huge id":         `{"model":{"type":"BPE","vocab":{"a":2000000000},"merges":[]}}`,
		"negative id":     `{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`,
		"shared id":       `{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}`,
		"merge of one":    `{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}`,
		"merge unknown":   `{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}}`,
		"unknown unknown": `{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"u"}}`,
		"added huge id":   `{"added_tokens":[{"id":99999999,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`,
		"added conflict":  `{"added_tokens":[{"id":0,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`,
		"processor id":    `{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[7]}}},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`,
		"bytes one way":   `{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`,
	} {
		tok, err := tokenizer.FromJSON([]byte(p), nil)
		var u *tokenizer.UnsupportedError
		if err == nil || errors.As(err, &u) {
			t.Errorf("%s: %v, %v", name, tok, err)
		}
	}
}

func FuzzFromJSON(f *testing.F) {
	f.Add(read(f, "..", "..", "examples", "tiny-llama", "tokenizer.json")[:20_000], "text")
	f.Add([]byte(`{"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"},"decoder":{"type":"Metaspace"},"model":{"type":"BPE","vocab":{"▁":0,"a":1,"▁a":2},"merges":["▁ a"]}}`), "a a")
	f.Add([]byte(`{"normalizer":{"type":"NFKC"},"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"x*"}},"model":{"type":"BPE","unk_token":"a","vocab":{"a":0},"merges":[]}}`), "xx é")
	f.Fuzz(func(t *testing.T, p []byte, text string) {
		tok, err := tokenizer.FromJSON(p, nil)
		if err != nil {
			return
		}
		ids := tok.Encode(text, true)
		for _, id := range ids {
			if id < 0 || id >= tok.Size() {
				t.Errorf("id %d of %d", id, tok.Size())
			}
		}
		if got := tok.Decode(ids); !utf8.ValidString(got) {
			t.Errorf("decoded %q", got)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	tok := tinyLlama(b)
	text := strings.Repeat("In the beginning God created the heaven and the earth. ", 200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text, true)
	}
}
