package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carat-hub/carat/inference/internal/shared"
)

// streamed is the text of ids in the pieces of a stream.
func streamed(t testing.TB, s *Stream, ids []int) string {
	t.Helper()
	var out strings.Builder
	for _, id := range ids {
		text := s.Add(id)
		if !utf8.ValidString(text) {
			t.Errorf("piece %q", text)
		}
		if n := len(s.pending); n > maxSilent+maxBroken {
			t.Errorf("%d tokens are held back", n)
		}
		out.WriteString(text)
	}
	out.WriteString(s.Flush())
	return out.String()
}

func TestStream(t *testing.T) {
	t.Parallel()
	tokenizers := map[string]func(t *testing.T) *Tokenizer{
		"byte level": func(t *testing.T) *Tokenizer { return fromJSON(t, tinyJSON, Config{}) },
		"byte fallback": func(t *testing.T) *Tokenizer {
			return fromJSON(t, shared.Path(t, "stories260K", "tokenizer.json"), Config{})
		},
		"spm": func(t *testing.T) *Tokenizer { return fromGGUF(t, shared.Path(t, "gguf", "stories260K-f16.gguf")) },
		"llama 3": func(t *testing.T) *Tokenizer {
			return fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-llama-bpe.gguf"))
		},
		"word pieces": func(t *testing.T) *Tokenizer {
			return fromGGUF(t, shared.Path(t, "tokenizers", "ggml-vocab-bert-bge.gguf"))
		},
	}
	for name, open := range tokenizers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := open(t)
			r := rand.New(rand.NewPCG(1, 2))
			for _, text := range append(texts, "🚀🚀🚀 naïve 你好你好") {
				ids := tok.Encode(text, true)
				if got, want := streamed(t, tok.NewStream(), ids), tok.Decode(ids); got != want && !strings.ContainsRune(want, utf8.RuneError) {
					t.Errorf("%q comes as %q", want, got)
				}
			}
			for range 300 {
				ids := make([]int, 1+r.IntN(30))
				for i := range ids {
					ids[i] = r.IntN(tok.Size()+2) - 1
				}
				if got, want := streamed(t, tok.NewStream(), ids), tok.Decode(ids); got != want && !strings.ContainsRune(want, utf8.RuneError) {
					t.Fatalf("%v: %q comes as %q", ids, want, got)
				}
			}
		})
	}
}

func TestStreamHoldsBackHalfACharacter(t *testing.T) {
	t.Parallel()
	tok := fromJSON(t, tinyJSON, Config{})
	ids := tok.Encode("x😀y", false)
	if len(ids) != 6 {
		t.Fatalf("%d tokens", len(ids))
	}
	s := tok.NewStream()
	var got []string
	for _, id := range ids {
		got = append(got, s.Add(id))
	}
	if strings.Join(got, "|") != "x||||😀|y" {
		t.Errorf("%q", got)
	}
	s = tok.NewStream()
	for _, id := range ids[:4] {
		s.Add(id)
	}
	if got := s.Flush(); got != "\uFFFD" || s.Flush() != "" {
		t.Errorf("what was held back is %q", got)
	}
	// Bytes that never become a character are not waited for.
	if got := streamed(t, tok.NewStream(), []int{ids[2], ids[2], ids[2], ids[2], ids[2], ids[0]}); !strings.HasSuffix(got, "x") || !utf8.ValidString(got) {
		t.Errorf("broken bytes come as %q", got)
	}
}

func TestStreamAfterOtherText(t *testing.T) {
	t.Parallel()
	tok := fromJSON(t, shared.Path(t, "stories260K", "tokenizer.json"), Config{})
	before, after := tok.Encode("Once upon", true), tok.Encode("a time", false)
	if got := streamed(t, tok.NewStream(before...), after); got != " a time" {
		t.Errorf("after a text: %q", got)
	}
	if got := streamed(t, tok.NewStream(), after); got != "a time" {
		t.Errorf("at the beginning: %q", got)
	}
}

func FuzzStream(f *testing.F) {
	tok := fromJSON(f, tinyJSON, Config{})
	f.Add([]byte("x😀y"))
	f.Add([]byte{0xf0, 0x9f, 0x80, 0xe4, 0xbd, 0xf0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ids := make([]int, len(b))
		for i, c := range b {
			ids[i] = int(c) * 8 % tok.Size()
			if one := tok.Encode(string(rune(c)), false); c < 0x80 && len(one) == 1 {
				ids[i] = one[0]
			}
		}
		got, want := streamed(t, tok.NewStream(), ids), tok.Decode(ids)
		if !utf8.ValidString(got) || !strings.ContainsRune(want, utf8.RuneError) && got != want {
			t.Errorf("%q comes as %q", want, got)
		}
	})
}
