package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/shared"
)

func TestTinyBERT(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(shared.Path(t, "tiny-bert", "reference_torch.json"))
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Sentences []string
		IDs       [][]int
	}
	if err := json.Unmarshal(b, &reference); err != nil {
		t.Fatal(err)
	}
	if len(reference.Sentences) == 0 || len(reference.Sentences) != len(reference.IDs) {
		t.Fatalf("%d sentences, %d lists of ids", len(reference.Sentences), len(reference.IDs))
	}
	for kind, tok := range map[string]*Tokenizer{
		"tokenizer.json": fromJSON(t, shared.Path(t, "tiny-bert", "tokenizer.json"), Config{}),
		"gguf":           fromGGUF(t, shared.Path(t, "tiny-bert", "tiny-bert-f32.gguf")),
	} {
		if tok.Kind() != "wordpiece" {
			t.Errorf("%s: kind %s", kind, tok.Kind())
		}
		for i, s := range reference.Sentences {
			got := tok.Encode(s, true)
			if d := cmp.Diff(reference.IDs[i], got); d != "" {
				t.Errorf("%s: %q\n%s", kind, s, d)
			}
			if back := tok.Decode(got); strings.ReplaceAll(back, " ", "") != strings.ReplaceAll(strings.ToLower(s), " ", "") {
				t.Errorf("%s: %q comes back as %q", kind, s, back)
			}
		}
	}
}

// TestUnigramIsBest compares with all ways to cut short texts.
func TestUnigramIsBest(t *testing.T) {
	t.Parallel()
	vocab, scores := map[string]int{}, []float64{}
	for i, p := range []string{"a", "b", "ab", "ba", "aba", "é", "aé", "bb", "abab"} {
		vocab[p] = i
		scores = append(scores, -1-math.Mod(float64(i)*0.37, 1)-float64(len(p))*0.61)
	}
	m, err := newUnigram(vocab, func(id int) float64 { return scores[id] }, -1)
	if err != nil {
		t.Fatal(err)
	}
	var best func(s string) float64
	best = func(s string) float64 {
		if s == "" {
			return 0
		}
		top := math.Inf(-1)
		for p, id := range vocab {
			if rest, ok := strings.CutPrefix(s, p); ok {
				top = max(top, scores[id]+best(rest))
			}
		}
		return top
	}
	letters := []string{"a", "b", "é"}
	for n := range 3 * 3 * 3 * 3 * 3 * 3 {
		var text string
		for k, left := 0, n; k < 6; k, left = k+1, left/3 {
			text += letters[left%3]
		}
		var sum float64
		var joined string
		for _, id := range m.encode(nil, text) {
			sum += scores[id]
			joined += m.piece(id)
		}
		if joined != text || math.Abs(sum-best(text)) > 1e-9 {
			t.Fatalf("%q: %q of %g, best is %g", text, joined, sum, best(text))
		}
	}
}

func (m *unigram) piece(id int) string {
	for i, other := range m.ids {
		if int(other) == id {
			return m.pieces[i]
		}
	}
	return ""
}

// charsmapBytes builds a map that replaces texts of one byte, by the layout of the format: the root's children lie at offset^label.
func charsmapBytes(to map[byte]string) []byte {
	const size, base = 1024, 256 // leaves above base, values above twice that
	units := make([]uint32, size)
	units[0] = base << 10
	var replacements []byte
	n := uint32(512)
	for c := range 256 {
		r, ok := to[byte(c)]
		if !ok {
			continue
		}
		at := uint32(base) ^ uint32(c)
		units[at] = uint32(c) | 1<<8 | (at^n)<<10
		units[n] = 1<<31 | uint32(len(replacements))
		replacements = append(append(replacements, r...), 0)
		n++
	}
	b := binary.LittleEndian.AppendUint32(nil, 4*size)
	for _, u := range units {
		b = binary.LittleEndian.AppendUint32(b, u)
	}
	return append(b, replacements...)
}

func TestCharsmap(t *testing.T) {
	t.Parallel()
	m, err := newCharsmap(charsmapBytes(map[byte]string{'A': "a", '\t': " ", 'x': "", '~': "---"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.normalize("A\tbéx~\xff"); got != "a bé---\ufffd" {
		t.Errorf("got %q", got)
	}
	encoded := base64.StdEncoding.EncodeToString(charsmapBytes(map[byte]string{'A': "a"}))
	tok, err := FromJSON(small(map[string]string{"normalizer": `{"type":"Precompiled","precompiled_charsmap":"` + encoded + `"}`}), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{3}, tok.Encode("Ab", false)); d != "" {
		t.Error(d)
	}
	var bad *fault.Malformed
	for _, b := range [][]byte{nil, {1}, {5, 0, 0, 0, 1, 2, 3, 4, 5}, {255, 255, 255, 255}} {
		if _, err := newCharsmap(b); !errors.As(err, &bad) {
			t.Errorf("%v: %v", b, err)
		}
	}
}

func TestTiktoken(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	rank := 0
	add := func(s string) {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(s)), rank)
		rank++
	}
	for c := range 256 {
		add(string([]byte{byte(c)}))
	}
	for _, s := range []string{"he", "ll", "lo", "hell", " w", "hello"} {
		add(s)
	}
	tok, err := FromTiktoken([]byte(b.String()), cl100kPattern, map[string]int{"<|end|>": rank})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{261, 260, 'o', 262, 259}, tok.Encode("hello wo<|end|>hell", false)); d != "" {
		t.Error(d)
	}
	for _, text := range texts {
		if back := tok.Decode(tok.EncodePlain(text, false)); back != text {
			t.Errorf("%q comes back as %q", text, back)
		}
	}
	var bad *fault.Malformed
	for _, s := range []string{"x", "!! 1", "YQ== -1", "YQ== 99999999", "YQ== 1\nYQ== 2", "YQ== 1\nYg== 1", " 1", strings.Repeat("a", 1<<20)} {
		if _, err := FromTiktoken([]byte(s), cl100kPattern, nil); !errors.As(err, &bad) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

// TestPreSplits cuts by each name that GGUF files use: nothing may be lost, and the pieces are those that the patterns say.
func TestPreSplits(t *testing.T) {
	t.Parallel()
	split := func(name, text string) []string {
		out := []string{text}
		for _, p := range preSplits[name].patterns {
			f, err := compileSplit(p, isolated)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var next []string
			for _, s := range out {
				next = f(next, s, false)
			}
			out = next
		}
		return out
	}
	for name := range preSplits {
		for _, text := range texts {
			if got := strings.Join(split(name, text), ""); got != text {
				t.Errorf("%s: %q becomes %q", name, text, got)
			}
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"gpt-2", "I'll pay  12345!\n\nOK", "I|'ll| pay| | 12345|!|\n|\n|OK"},
		{"llama-bpe", "I'LL pay  12345!\n\nOK", "I|'LL| pay| | |123|45|!\n\n|OK"},
		{"qwen2", "a 12 \n b", "a| |1|2| \n| b"},
		{"qwen35", "e\u0301a 12", "e\u0301a| |1|2"},
		{"gpt-4o", "HelloWorld it's/\n 1234", "Hello|World| it's|/\n| |123|4"},
		{"tekken", "HelloWORLD it's 12", "Hello|WORLD| it|'s| |1|2"},
		{"deepseek-v3", "abc1234中文!x y", "abc|123|4|中文|!x| y"},
		{"deepseek-coder", "a b1中\n.", "a| b|1|中|\n|."},
		{"deepseek-llm", "a b12中.\n", "a| b|12|中|.|\n"},
		{"falcon", "a+b 1234 x", "a|+|b| |123|4| x"},
		{"starcoder", "x 12", "x| |1|2"},
		{"bloom", "ab, cd 12", "ab|,| cd| 12"},
		{"viking", "ab 12", "ab| |1|2"},
		{"default", "a+b 1234!", "a|+|b| |123|4|!"},
		{"seed-coder", "a!\n1", "a|!|\n|1"},
	} {
		if got := strings.Join(split(c.name, c.text), "|"); got != c.want {
			t.Errorf("%s: %q is cut %q, expected %q", c.name, c.text, got, c.want)
		}
	}
}

func FuzzTiktoken(f *testing.F) {
	f.Add([]byte("YQ== 0\nYg== 1\nYWI= 2\n"), "abba")
	f.Add([]byte("\r\n IA== 7 \n\n4pY= 1048575\nYQ==  3\n"), " <x>\xff▁")
	f.Add([]byte("YQ== 0\nYQ== 1\n"), "")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		tok, err := FromTiktoken(b, o200kPattern, map[string]int{"<x>": 3})
		if err != nil {
			return
		}
		for _, id := range tok.Encode(text, true) {
			if id < 0 || id >= tok.Size() {
				t.Fatalf("id %d of %d", id, tok.Size())
			}
		}
	})
}

func FuzzCharsmap(f *testing.F) {
	f.Add(charsmapBytes(map[byte]string{'A': "a"}), "ABC")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		m, err := newCharsmap(b)
		if err != nil {
			return
		}
		if out := m.normalize(text); len(out) > maxReplacement*len(text) {
			t.Fatalf("%d bytes become %d", len(text), len(out))
		}
	})
}
