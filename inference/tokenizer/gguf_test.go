package tokenizer

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
)

// written returns a GGUF file with these keys.
func written(t testing.TB, keys map[string]any) *gguf.File {
	t.Helper()
	var w gguf.Writer
	for k, v := range keys {
		w.Set(k, v)
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func unigramKeys() map[string]any {
	var charsmap []int32
	for _, b := range charsmapBytes(map[byte]string{'A': "a", '\t': " "}) {
		charsmap = append(charsmap, int32(b))
	}
	return map[string]any{
		"tokenizer.ggml.model":                    "t5",
		"tokenizer.ggml.tokens":                   []string{"<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "ab", "<x>"},
		"tokenizer.ggml.scores":                   []float32{0, 0, 0, -2, -3, -3, -2, -4, 0},
		"tokenizer.ggml.token_type":               []int32{3, 3, 2, 1, 1, 1, 1, 1, 4},
		"tokenizer.ggml.precompiled_charsmap":     charsmap,
		"tokenizer.ggml.remove_extra_whitespaces": true,
	}
}

func TestUnigramFromGGUF(t *testing.T) {
	t.Parallel()
	tok, err := FromGGUF(written(t, unigramKeys()))
	if err != nil {
		t.Fatal(err)
	}
	if tok.Kind() != "unigram" || tok.AddsBOS() {
		t.Errorf("kind %s, adds BOS: %v", tok.Kind(), tok.AddsBOS())
	}
	for _, c := range []struct {
		text string
		want []int
		back string
	}{
		{"ab", []int{6, 1}, "ab"},
		{"  Ab\t\tab ", []int{6, 6, 1}, "ab ab"},
		{"ba", []int{3, 5, 4, 1}, "ba"},
		{"zzab", []int{3, 2, 7, 1}, "ab"},
		{"</s>", []int{3, 2, 1}, ""},
		{"", []int{1}, ""},
	} {
		got := tok.EncodePlain(c.text, true)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q: %s", c.text, d)
		}
		if back := tok.Decode(got); back != c.back {
			t.Errorf("%q comes back as %q", c.text, back)
		}
	}
	if d := cmp.Diff([]int{6, 8, 6}, tok.Encode("ab<x>ab", false)); d != "" {
		t.Errorf("user-defined token: %s", d)
	}
	keys := unigramKeys()
	keys["tokenizer.ggml.scores"] = []float32{0}
	var bad *fault.Malformed
	if _, err := FromGGUF(written(t, keys)); !errors.As(err, &bad) {
		t.Errorf("too few scores: %v", err)
	}
	keys["tokenizer.ggml.model"] = "rwkv"
	var unsupported *fault.Unsupported
	if _, err := FromGGUF(written(t, keys)); !errors.As(err, &unsupported) {
		t.Errorf("another model: %v", err)
	}
}
