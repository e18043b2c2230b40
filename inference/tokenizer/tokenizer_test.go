package tokenizer

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/internal/shared"
)

func fromGGUF(t testing.TB, path string) *Tokenizer {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Read(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := FromGGUF(g)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func fromJSON(t testing.TB, path string, c Config) *Tokenizer {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := FromJSON(b, c)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

const tinyJSON = "../../examples/tiny-llama/tokenizer.json"

// texts are awkward: spaces, line breaks, digits, scripts, emoji, marks, control characters, bytes that are no UTF-8.
var texts = []string{
	"", " ", "  ", "\n", "\n\n \n", "\t\t x", "Hello world", " Hello  world ", "don't we'll I'VE 'd", "1234567 1.5e9",
	"In the beginning", "naïve café", "你好，世界", "🚀 (normal) 😶‍🌫️", "a\u0301 e\u0301", "\x00\x01\x7f", "x\r\ny\r", "=== --- ...",
	"नमस्ते १२३", "\u00a0nbsp\u2003em", "ﬁ Ⅷ ½", "<|user|>hi<|endoftext|>",
}

func TestVocabulariesOfLlamaCPP(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"llama-spm", "llama-bpe", "gpt-2", "qwen2", "bert-bge"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := shared.Path(t, "tokenizers", "ggml-vocab-"+name+".gguf")
			tok := fromGGUF(t, path)
			inputs, err := os.ReadFile(path + ".inp")
			if err != nil {
				t.Fatal(err)
			}
			outputs, err := os.ReadFile(path + ".out")
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(outputs), "\n")
			cases := strings.Split(strings.TrimSuffix(string(inputs), "\n__ggml_vocab_test__\n"), "\n__ggml_vocab_test__\n")
			if len(cases) < 40 || len(lines) < len(cases) {
				t.Fatalf("%d texts and %d lines of ids", len(cases), len(lines))
			}
			for i, text := range cases {
				want := []int{}
				for _, f := range strings.Fields(lines[i]) {
					id, err := strconv.Atoi(f)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, id)
				}
				got := tok.EncodePlain(text, false)
				if d := cmp.Diff(want, append([]int{}, got...)); d != "" {
					t.Errorf("%d: %q\n%s", i, text, d)
				}
				if back := tok.Decode(got); back != text && tok.Kind() != "wordpiece" { // which drops case and spaces
					t.Errorf("%d: %q comes back as %q", i, text, back)
				}
			}
		})
	}
}

func TestStories260K(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(shared.Path(t, "tokenizers", "stories260K.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string `json:"text"`
		IDs  []int  `json:"ids"`
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	hf := fromJSON(t, shared.Path(t, "stories260K", "tokenizer.json"), Config{BOS: "<s>", EOS: "</s>"})
	spm := fromGGUF(t, shared.Path(t, "gguf", "stories260K-f32.gguf"))
	for _, c := range cases {
		for kind, tok := range map[string]*Tokenizer{"tokenizer.json": hf, "gguf": spm} {
			if d := cmp.Diff(c.IDs, tok.Encode(c.Text, true)); d != "" {
				t.Errorf("%s: %q\n%s", kind, c.Text, d)
			}
			if back := tok.Decode(c.IDs); back != c.Text {
				t.Errorf("%s: %q comes back as %q", kind, c.Text, back)
			}
		}
	}
	if len(cases) < 10 {
		t.Errorf("only %d texts", len(cases))
	}
}

func TestTinyLlama(t *testing.T) {
	t.Parallel()
	hf := fromJSON(t, tinyJSON, Config{BOS: "<|endoftext|>", EOS: "<|endoftext|>"})
	g := fromGGUF(t, "../testdata/tiny-llama-q8_0.gguf")
	var reference struct {
		Prompt string `json:"prompt"`
		Tokens []int  `json:"tokens"`
	}
	b, err := os.ReadFile("../testdata/tiny-llama-q8_0.logits.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &reference); err != nil {
		t.Fatal(err)
	}
	kjv, err := os.ReadFile("../testdata/perplexity-kjv.txt")
	if err != nil {
		t.Fatal(err)
	}
	for kind, tok := range map[string]*Tokenizer{"tokenizer.json": hf, "gguf": g} {
		if d := cmp.Diff(reference.Tokens, tok.Encode(reference.Prompt, true)); d != "" {
			t.Errorf("%s: %s", kind, d)
		}
		bos, _ := tok.BOS()
		if tok.Size() != 2048 || tok.Kind() != "bpe" || bos != 0 || !tok.AddsBOS() || !tok.Special(1) {
			t.Errorf("%s: size %d, kind %s, bos %d, adds it: %v", kind, tok.Size(), tok.Kind(), bos, tok.AddsBOS())
		}
		for _, text := range append(texts, string(kjv)) {
			if back := tok.Decode(tok.EncodePlain(text, true)); back != text {
				t.Errorf("%s: %.80q comes back as %.80q", kind, text, back)
			}
			if d := cmp.Diff(hf.Encode(text, false), tok.Encode(text, false)); d != "" {
				t.Errorf("%s: %.80q differs from tokenizer.json\n%s", kind, text, d)
			}
		}
	}
	chat := "<|user|>hi<|endoftext|>"
	if ids := hf.Encode(chat, false); ids[0] != 1 || ids[len(ids)-1] != 0 || hf.Decode(ids) != "hi" {
		t.Errorf("special tokens in the text: %v", ids)
	}
	if ids := hf.EncodePlain(chat, false); len(ids) < 8 || ids[0] == 1 {
		t.Errorf("special tokens in untrusted text: %v", ids)
	}
}

func TestTranslatedPatternsAgreeWithTheScanners(t *testing.T) {
	t.Parallel()
	for pattern, scan := range map[string]splitter{gpt2Pattern: gpt2Split, llama3Pattern: llama3Split(3), qwen2Pattern: llama3Split(1)} {
		// A group around the first alternative hides the pattern from the table of known ones.
		body := strings.TrimSuffix(pattern, lookahead)
		engine, err := compileSplit("(?:"+body+")"+lookahead, isolated)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if d := cmp.Diff(engine(nil, text, true), scan(nil, text, true)); d != "" {
				t.Errorf("%.30q on %q:\n%s", pattern, text, d)
			}
		}
	}
}

// small is a tokenizer.json around parts that the cases replace.
func small(parts map[string]string) []byte {
	f := map[string]json.RawMessage{
		"added_tokens": json.RawMessage(`[{"id":9,"content":"<x>","special":true,"normalized":false}]`),
		"model":        json.RawMessage(`{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"abc":4,"▁":5,"▁a":6,"A":7,"é":8},"merges":["a b","ab c","▁ a"]}`),
	}
	for k, v := range parts {
		f[k] = json.RawMessage(v)
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return b
}

func TestSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		parts map[string]string
		text  string
		want  []int
	}{
		{"merges", nil, "abcab", []int{4, 3}},
		{"unknown characters are dropped", nil, "azb", []int{3}},
		{"added token", nil, "a<x>b", []int{0, 9, 1}},
		{"added token that strips", map[string]string{"added_tokens": `[{"id":9,"content":"<x>","lstrip":true,"rstrip":true}]`}, "a <x> b", []int{0, 9, 1}},
		{"added word", map[string]string{"added_tokens": `[{"id":9,"content":"c","single_word":true}]`}, "ac c", []int{0, 2, 9}},
		{"lower case", map[string]string{"normalizer": `{"type":"Lowercase"}`}, "ABC", []int{4}},
		{"composed", map[string]string{"normalizer": `{"type":"NFC"}`}, "e\u0301", []int{8}},
		{"accents", map[string]string{"normalizer": `{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]}`}, "á", []int{0}},
		{"replaced", map[string]string{"normalizer": `{"type":"Replace","pattern":{"Regex":"x+"},"content":"a"}`}, "xxxb", []int{3}},
		{"metaspace", map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}`}, "a a<x>a", []int{6, 6, 9, 0}},
		{"metaspace of the past", map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","add_prefix_space":false}`}, "a a", []int{0, 6}},
		{"split", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"String":"b"},"behavior":"Isolated","invert":false}`}, "abc", []int{0, 1, 2}},
		{"removed", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"\\s+"},"behavior":"Removed"}`}, "a\u2003b", []int{0, 1}},
		{"template", map[string]string{"post_processor": `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}},{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<x>"}}],"special_tokens":{"<x>":{"ids":[9]}}}`}, "a", []int{9, 0, 9}},
		{"merges as pairs", map[string]string{"model": `{"vocab":{"a":0," ":1,"a ":2},"merges":[["a"," "]]}`}, "a a", []int{2, 0}},
		{"merged with previous", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"String":"b"},"behavior":"MergedWithPrevious"}`}, "abcab", []int{3, 2, 3}},
		{"merged with next", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"String":"b"},"behavior":"MergedWithNext"}`}, "abcab", []int{0, 1, 2, 0, 1}},
		{"bert processing", map[string]string{"post_processor": `{"type":"BertProcessing","sep":["c",2],"cls":["<x>",9]}`}, "a", []int{9, 0, 2}},
		{"roberta processing", map[string]string{"post_processor": `{"type":"RobertaProcessing","sep":["c",2],"cls":["<x>",9],"trim_offsets":true}`}, "a", []int{9, 0, 2}},
		{"punctuation", map[string]string{"pre_tokenizer": `{"type":"Punctuation","behavior":"Removed"}`}, "a.b,abc", []int{0, 1, 4}},
		{"delimiter", map[string]string{"pre_tokenizer": `{"type":"CharDelimiterSplit","delimiter":"|"}`}, "a|b|ab", []int{0, 1, 3}},
		{"word level", map[string]string{"pre_tokenizer": `{"type":"Whitespace"}`, "model": `{"type":"WordLevel","vocab":{"ab":0,"c":1,"?":2},"unk_token":"?"}`}, "ab c x", []int{0, 1, 2}},
		{"wordpiece", map[string]string{"pre_tokenizer": `{"type":"BertPreTokenizer"}`, "normalizer": `{"type":"BertNormalizer","lowercase":true}`, "model": `{"type":"WordPiece","vocab":{"[U]":0,"un":1,"##able":2,"##a":3,"!":4,"中":5},"unk_token":"[U]","max_input_chars_per_word":8}`}, "UNÁBLE una\x00! 中中 unx unaaaaaaaa", []int{1, 2, 1, 3, 4, 5, 5, 0, 0}},
		{"unigram", map[string]string{"model": `{"type":"Unigram","unk_id":0,"vocab":[["<u>",0],["a",-1],["b",-1],["ab",-1.5],["abc",-5],["c",-3]]}`}, "ababcxyb", []int{3, 3, 5, 0, 2}},
		{"unigram with bytes", map[string]string{"model": `{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["<u>",0],["a",-1],["<0xC3>",-9],["<0xA9>",-9]]}`}, "aéß", []int{1, 2, 3, 0}},
		{"unknown token, fused", map[string]string{"model": `{"type":"BPE","vocab":{"a":0,"?":1},"merges":[],"unk_token":"?","fuse_unk":true}`}, "axya", []int{0, 1, 0}},
		{"whole words", map[string]string{"model": `{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[],"ignore_merges":true}`}, "ab", []int{2}},
	} {
		tok, err := FromJSON(small(c.parts), Config{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(c.want, tok.Encode(c.text, true)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	nested := strings.Repeat(`{"type":"Sequence","normalizers":[`, 20) + strings.Repeat(`]}`, 20)
	double := strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aa"},`, 40)
	many := `{"type":"Sequence","decoders":[` + strings.Repeat(`{"type":"Fuse"},`, 100) + `{"type":"Fuse"}]}`
	for _, c := range []struct {
		name        string
		parts       map[string]string
		unsupported bool
	}{
		{"normalizer", map[string]string{"normalizer": `{"type":"Nmt"}`}, true},
		{"pre-tokenizer", map[string]string{"pre_tokenizer": `{"type":"UnicodeScripts"}`}, true},
		{"decoder", map[string]string{"decoder": `{"type":"CTC"}`}, true},
		{"post-processor", map[string]string{"post_processor": `{"type":"Other"}`}, true},
		{"processing without tokens", map[string]string{"post_processor": `{"type":"RobertaProcessing"}`}, false},
		{"processing of an unknown id", map[string]string{"post_processor": `{"type":"BertProcessing","sep":["x",99],"cls":["x",9]}`}, false},
		{"split behavior", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"String":"b"},"behavior":"Other"}`}, true},
		{"charsmap", map[string]string{"normalizer": `{"type":"Precompiled","precompiled_charsmap":"/////w=="}`}, false},
		{"unigram without scores", map[string]string{"model": `{"type":"Unigram","vocab":{"a":0}}`}, false},
		{"unigram with a number for a piece", map[string]string{"model": `{"type":"Unigram","vocab":[[1,2]]}`}, false},
		{"unigram of an unknown id", map[string]string{"model": `{"type":"Unigram","unk_id":7,"vocab":[["a",0]]}`}, false},
		{"unigram of a long piece", map[string]string{"model": `{"type":"Unigram","vocab":[["` + strings.Repeat("a", 600) + `",0]]}`}, false},
		{"wordpiece of a long piece", map[string]string{"model": `{"type":"WordPiece","vocab":{"` + strings.Repeat("a", 600) + `":0}}`}, false},
		{"wordpiece of words without characters", map[string]string{"model": `{"type":"WordPiece","vocab":{"a":0},"max_input_chars_per_word":0}`}, false},
		{"other model", map[string]string{"model": `{"type":"Other","vocab":{"a":0}}`}, true},
		{"lookbehind", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"(?<=a)b"},"behavior":"Isolated"}`}, true},
		{"lookahead elsewhere", map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"a(?!b)|c"},"behavior":"Isolated"}`}, true},
		{"dropout", map[string]string{"model": `{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}`}, true},
		{"no model", map[string]string{"model": `null`}, true},
		{"negative id", map[string]string{"model": `{"type":"BPE","vocab":{"a":-1},"merges":[]}`}, false},
		{"huge id", map[string]string{"model": `{"type":"BPE","vocab":{"a":1099511627776},"merges":[]}`}, false},
		{"fractional id", map[string]string{"model": `{"type":"BPE","vocab":{"a":0.5},"merges":[]}`}, false},
		{"two pieces of one id", map[string]string{"model": `{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}`}, false},
		{"merge outside the vocabulary", map[string]string{"model": `{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}`}, false},
		{"merge of one part", map[string]string{"model": `{"type":"BPE","vocab":{"a":0},"merges":["a"]}`}, false},
		{"merges missing", map[string]string{"model": `{"type":"BPE","vocab":{"a":0}}`}, false},
		{"vocabulary missing", map[string]string{"model": `{"type":"BPE","merges":[]}`}, false},
		{"unknown token missing", map[string]string{"model": `{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}`}, false},
		{"added token of huge id", map[string]string{"added_tokens": `[{"id":1073741824,"content":"x"}]`}, false},
		{"empty added token", map[string]string{"added_tokens": `[{"id":9,"content":""}]`}, false},
		{"template id", map[string]string{"post_processor": `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<x>":{"ids":[77]}}}`}, false},
		{"deep nesting", map[string]string{"normalizer": nested}, false},
		{"text that doubles", map[string]string{"normalizer": `{"type":"Sequence","normalizers":[` + strings.TrimSuffix(double, ",") + `]}`}, false},
		{"long content for no match", map[string]string{"decoder": `{"type":"Replace","pattern":{"Regex":""},"content":"` + strings.Repeat("x", 9999) + `"}`}, false},
		{"many steps", map[string]string{"decoder": many}, false},
	} {
		_, err := FromJSON(small(c.parts), Config{})
		var unsupported *fault.Unsupported
		var bad *fault.Malformed
		if c.unsupported && !errors.As(err, &unsupported) || !c.unsupported && !errors.As(err, &bad) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	var bad *fault.Malformed
	for _, b := range []string{"", "[]", "{", strings.Repeat("[", 100_000)} {
		if _, err := FromJSON([]byte(b), Config{}); !errors.As(err, &bad) {
			t.Errorf("%.10q: %v", b, err)
		}
	}
	if _, err := FromJSON(make([]byte, MaxFile+1), Config{}); !errors.As(err, &bad) {
		t.Errorf("too large: %v", err)
	}
}

func TestLongTextTakesLittleTime(t *testing.T) {
	t.Parallel()
	tok := fromJSON(t, tinyJSON, Config{})
	text := strings.Repeat("a", 300_000)
	if back := tok.Decode(tok.Encode(text, false)); back != text {
		t.Error("a long word does not come back")
	}
}

func FuzzTokenizerJSON(f *testing.F) {
	f.Add(small(nil), "abc <x>")
	f.Add(small(map[string]string{"normalizer": `{"type":"NFKC"}`, "decoder": `{"type":"ByteLevel"}`, "pre_tokenizer": `{"type":"ByteLevel"}`}), "a\xffb")
	f.Add(small(map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"\\p{L}+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"}`}), " a  b ")
	f.Add(small(map[string]string{"model": `{"type":"Unigram","unk_id":0,"vocab":[["<u>",0],["a",-1],["ab",-1.5]]}`, "normalizer": `{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAAAAAAAYQA="}`}), "aab")
	f.Add(small(map[string]string{"model": `{"type":"WordPiece","vocab":{"[U]":0,"un":1,"##a":3},"unk_token":"[U]"}`, "pre_tokenizer": `{"type":"BertPreTokenizer"}`, "normalizer": `{"type":"BertNormalizer"}`, "decoder": `{"type":"WordPiece","prefix":"##"}`}), "una x")
	f.Add(small(map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"▁"}`, "decoder": `{"type":"Metaspace","replacement":"▁"}`}), "a a")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		tok, err := FromJSON(b, Config{BOS: "<x>"})
		if err != nil {
			return
		}
		for _, id := range append(tok.Encode(text, true), tok.EncodePlain(text, true)...) {
			if id < 0 || id >= tok.Size() {
				t.Fatalf("id %d of %d", id, tok.Size())
			}
		}
		tok.Decode(tok.Encode(text, false))
	})
}
