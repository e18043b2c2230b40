package inference

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/internal/shared"
)

// asGGUF writes files in another type into a temporary file and opens that.
func asGGUF(t *testing.T, files Files, typ string) (*Model, *gguf.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Quantize(t.Context(), files, out, QuantizeOptions{Type: typ, Name: "tiny"}), out.Close()); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Read(in, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return open(t, path), g
}

// TestQuantizePerplexity: the example model in each type is as surprised as llama.cpp's own quantization of it.
func TestQuantizePerplexity(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/perplexity-kjv.txt")
	if err != nil {
		t.Fatal(err)
	}
	files, err := OpenPath(tinyFolder)
	if err != nil {
		t.Fatal(err)
	}
	for typ, c := range map[string]struct {
		want, tolerance float64
		known           string
	}{
		"f32": {38.3516, 0.001, "F32"}, "f16": {38.3516, 0.001, "F16"}, "bf16": {38.3516, 0.001, "BF16"},
		"q8_0": {38.3441, 0.002, "Q8_0"}, "q6_k": {38.3269, 0.005, "Q6_K"},
		"q4_0": {38.3316, 0.01, "Q4_0"}, "q4_k": {38.4663, 0.01, "Q4_K_S"}, "q4_k_m": {38.4663, 0.01, "Q4_K_M"},
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			m, _ := asGGUF(t, files, typ)
			p, err := m.Perplexity(t.Context(), string(text), 128, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.4f, llama.cpp's is %.4f", p.Perplexity, c.want)
			if math.Abs(p.Perplexity/c.want-1) > c.tolerance {
				t.Errorf("perplexity %.4f, llama.cpp's is %.4f", p.Perplexity, c.want)
			}
			if f := m.Facts(); f.Quantization != c.known || f.Name != "tiny" || f.ContextLength != 256 || !f.ChatTemplate {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestQuantizeKeepsTheModel compares the folder with a file of the same precision: logits, tokens, prompts, ends.
func TestQuantizeKeepsTheModel(t *testing.T) {
	t.Parallel()
	files, err := OpenPath(tinyFolder)
	if err != nil {
		t.Fatal(err)
	}
	folder := open(t, tinyFolder)
	m, _ := asGGUF(t, files, "bf16")
	want := evalAll(t, session(t, folder, SessionOptions{Threads: 1}), sequence)
	for i, logits := range evalAll(t, session(t, m, SessionOptions{Threads: 1}), sequence) {
		// The pairing of the rotary embedding, and with it the order of sums, is another.
		if d := largestDifference(want[i], logits); d > 1e-4 {
			t.Errorf("position %d: logits differ by %g", i, d)
		}
	}
	talk := []Message{{"user", "Who?"}}
	a, errA := folder.Prompt(t.Context(), talk, nil)
	b, errB := m.Prompt(t.Context(), talk, nil)
	if a != b || errA != nil || errB != nil || !slices.Equal(folder.EndTokens(), m.EndTokens()) {
		t.Errorf("prompts %q and %q, ends %v and %v", a, b, folder.EndTokens(), m.EndTokens())
	}
	// From GGUF to GGUF, all that is said stays.
	again, g := asGGUF(t, memoryFiles(t, files, "f16"), "f16")
	if again.ChatTemplate() != m.ChatTemplate() || g.Text("general.architecture", "") != "llama" {
		t.Errorf("%v", g.Keys)
	}
}

// memoryFiles is a model as a GGUF file in memory.
func memoryFiles(t *testing.T, files Files, typ string) Files {
	t.Helper()
	var b bytes.Buffer
	if err := Quantize(t.Context(), files, &b, QuantizeOptions{Type: typ}); err != nil {
		t.Fatal(err)
	}
	return FromSources(map[string]Source{"model.gguf": {bytes.NewReader(b.Bytes()), int64(b.Len())}})
}

// TestQuantizeMixesAsLlamaCPP compares which tensor has which type with llama.cpp's files.
func TestQuantizeMixesAsLlamaCPP(t *testing.T) {
	t.Parallel()
	for typ, name := range map[string]string{
		"q4_k_m": "tiny-llama-q4_k_m.gguf", "q6_k": "tiny-llama-q6_k.gguf", "q8_0": "tiny-llama-q8_0.gguf", "q4_0": "tiny-llama-q4_0.gguf",
		"f16": "tiny-llama-f16.gguf",
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			files, err := OpenPath(tinyFolder)
			if err != nil {
				t.Fatal(err)
			}
			_, got := asGGUF(t, files, typ)
			in, err := os.Open(shared.Path(t, "gguf", name))
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			info, err := in.Stat()
			if err != nil {
				t.Fatal(err)
			}
			want, err := gguf.Read(in, info.Size())
			if err != nil {
				t.Fatal(err)
			}
			types := map[string]string{}
			for _, x := range want.Tensors {
				types[x.Name] = x.Type.String()
			}
			if len(got.Tensors) != len(types) {
				t.Errorf("%d tensors, llama.cpp has %d", len(got.Tensors), len(types))
			}
			for _, x := range got.Tensors {
				if types[x.Name] != x.Type.String() {
					t.Errorf("%s is %s, llama.cpp's is %q", x.Name, x.Type, types[x.Name])
				}
			}
			for _, key := range []string{"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template", "general.architecture"} {
				if a, b := got.Text(key, "-"), want.Text(key, ""); a != b {
					t.Errorf("%s is %q, llama.cpp's is %q", key, a, b)
				}
			}
			for _, key := range []string{"tokenizer.ggml.tokens", "tokenizer.ggml.merges"} {
				a, errA := got.Strings(key)
				b, errB := want.Strings(key)
				if !slices.Equal(a, b) || errA != nil || errB != nil {
					t.Errorf("%s differs", key)
				}
			}
		})
	}
}

// TestConvertArchitectures: each architecture that can be written gives the logits of its folder, with biases and scaled rotary
// embeddings.
func TestConvertArchitectures(t *testing.T) {
	t.Parallel()
	ids := []int{1, 2, 3, 4, 5, 6, 7, 8}
	converted := map[string]bool{}
	for i, g := range slices.Concat(generatedArchitectures, generatedVariants) {
		if g.names == "" {
			continue
		}
		g.seed = uint64(i)
		files := withTokenizer(t, g.folder(t))
		var out bytes.Buffer
		err := Quantize(t.Context(), files, &out, QuantizeOptions{Type: "f32"})
		var unsupported *UnsupportedError
		if errors.As(err, &unsupported) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		converted[g.name] = true
		run := func(files Files) []float32 {
			m, err := Open(t.Context(), files)
			if err != nil {
				t.Fatalf("%s: %v", g.name, err)
			}
			defer m.Close()
			all := evalAll(t, session(t, m, SessionOptions{Threads: 1}), ids)
			return all[len(all)-1]
		}
		want := run(files)
		got := run(FromSources(map[string]Source{"model.gguf": {bytes.NewReader(out.Bytes()), int64(out.Len())}}))
		if d := largestDifference(want, got); d > 1e-4 {
			t.Errorf("%s: logits differ by %g", g.name, d)
		}
	}
	for _, name := range []string{"llama", "llama-3.1", "llama-linear-biased", "qwen2", "qwen3", "granite"} {
		if !converted[name] {
			t.Errorf("%s was not converted: %v", name, converted)
		}
	}
}

// withTokenizer adds a tokenizer of a few tokens to a model's files.
func withTokenizer(t *testing.T, files Files) Files {
	t.Helper()
	const text = `{"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]},` +
		`"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},"decoder":{"type":"ByteLevel"}}`
	sources := map[string]Source{tokenizerName: {bytes.NewReader([]byte(text)), int64(len(text))}}
	for _, n := range files.Names() {
		f, err := files.Open(n)
		if err != nil {
			t.Fatal(err)
		}
		sources[n] = Source{f, f.Size()}
	}
	return FromSources(sources)
}

func TestQuantizeRefused(t *testing.T) {
	t.Parallel()
	files, err := OpenPath(tinyFolder)
	if err != nil {
		t.Fatal(err)
	}
	var unsupported *UnsupportedError
	if err := Quantize(t.Context(), files, &bytes.Buffer{}, QuantizeOptions{Type: "q3_x"}); !errors.As(err, &unsupported) {
		t.Errorf("an unknown type: %v", err)
	}
	if err := Quantize(t.Context(), newToy().folder(t, 1, nil), &bytes.Buffer{}, QuantizeOptions{Type: "f16"}); !errors.As(err, &unsupported) {
		t.Errorf("a folder without a tokenizer: %v", err)
	}
	full := errors.New("disk full")
	if err := Quantize(t.Context(), files, failing{full}, QuantizeOptions{Type: "f16"}); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = Quantize(ctx, files, &bytes.Buffer{}, QuantizeOptions{Type: "f16", Progress: func(done, _ int) {
		if done == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
