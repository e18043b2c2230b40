package tokenizer

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/internal/shared"
)

// exported writes t as GGUF keys and reads them back.
func exported(t *testing.T, tok *Tokenizer, rows int) (*Tokenizer, *gguf.File) {
	t.Helper()
	var w gguf.Writer
	if err := tok.SetGGUF(&w, rows); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	out, err := FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	return out, f
}

func TestSetGGUF(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open func(t *testing.T) *Tokenizer
		rows int
		pre  string
	}{
		"byte level": {func(t *testing.T) *Tokenizer {
			return fromJSON(t, tinyJSON, Config{BOS: "<|endoftext|>", EOS: "<|endoftext|>"})
		}, 2048, "gpt-2"},
		"padded": {func(t *testing.T) *Tokenizer { return fromJSON(t, tinyJSON, Config{}) }, 2100, "gpt-2"},
		"byte fallback": {func(t *testing.T) *Tokenizer {
			return fromJSON(t, shared.Path(t, "stories260K", "tokenizer.json"), Config{BOS: "<s>", EOS: "</s>"})
		}, 512, ""},
		"llama 3": {func(t *testing.T) *Tokenizer {
			return fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-llama-bpe.gguf"))
		}, 128256, "llama-bpe"},
		"qwen 2": {func(t *testing.T) *Tokenizer {
			return fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-qwen2.gguf"))
		}, 152064, "qwen2"},
		"falcon": {func(t *testing.T) *Tokenizer {
			return fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-falcon.gguf"))
		}, 65024, "falcon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := c.open(t)
			got, f := exported(t, tok, c.rows)
			if pre := f.Text("tokenizer.ggml.pre", ""); pre != c.pre || got.Size() != c.rows {
				t.Errorf("pre-tokenizer %q, %d tokens", pre, got.Size())
			}
			for _, text := range texts {
				if want, have := tok.Encode(text, true), got.Encode(text, true); !slices.Equal(want, have) {
					t.Errorf("%q: %v, want %v", text, have, want)
				}
				if want, have := tok.EncodePlain(text, false), got.EncodePlain(text, false); !slices.Equal(want, have) {
					t.Errorf("%q as plain text: %v, want %v", text, have, want)
				}
			}
			for id := range tok.Size() {
				if tok.Special(id) != got.Special(id) {
					t.Errorf("token %d is special: %v, was %v", id, got.Special(id), tok.Special(id))
				}
			}
			bos, hasBOS := tok.BOS()
			eos, hasEOS := tok.EOS()
			if b, ok := got.BOS(); hasBOS && (b != bos || !ok) {
				t.Errorf("BOS %d, want %d", b, bos)
			}
			if e, ok := got.EOS(); hasEOS && (e != eos || !ok) {
				t.Errorf("EOS %d, want %d", e, eos)
			}
		})
	}
}

func TestSetGGUFRefused(t *testing.T) {
	t.Parallel()
	var unsupported *fault.Unsupported
	tok := fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-bert-bge.gguf"))
	if err := tok.SetGGUF(&gguf.Writer{}, tok.Size()); !errors.As(err, &unsupported) {
		t.Errorf("word pieces: %v", err)
	}
	// A way to split that has no name in GGUF files.
	b := []byte(strings.ReplaceAll(string(mustRead(t, tinyJSON)), `"use_regex": true`, `"use_regex": false`))
	if tok, err := FromJSON(b, Config{}); err != nil {
		t.Error(err)
	} else if err := tok.SetGGUF(&gguf.Writer{}, tok.Size()); !errors.As(err, &unsupported) {
		t.Errorf("no split: %v", err)
	}
	tok = fromJSON(t, tinyJSON, Config{})
	var bad *fault.Malformed
	if err := tok.SetGGUF(&gguf.Writer{}, 2047); !errors.As(err, &bad) {
		t.Errorf("too few rows: %v", err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
