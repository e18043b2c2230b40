package inference

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/internal/shared"
)

func open(t testing.TB, path string) *Model {
	t.Helper()
	files, err := OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func session(t testing.TB, m *Model, o SessionOptions) *Session {
	t.Helper()
	s := m.NewSession(o)
	t.Cleanup(s.Close)
	return s
}

const (
	tinyFolder = "../examples/tiny-llama"
	tinyGGUF   = "testdata/tiny-llama-q8_0.gguf"
)

// recorded is what another engine computed: the logits at each position of a prompt, all of them or the first 64 with the
// index of the largest, and the tokens that greedy generation appends.
type recorded struct {
	Prompt    string      `json:"prompt"`
	Tokens    []int       `json:"tokens"`
	Positions []positions `json:"positions"`
	Greedy    []int       `json:"greedy"`
}

type positions struct {
	Argmax int       `json:"argmax"`
	First  []float64 `json:"first"`
}

func (p *positions) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		p.Argmax = -1
		return json.Unmarshal(b, &p.First)
	}
	type plain positions
	return json.Unmarshal(b, (*plain)(p))
}

func readReference(t testing.TB, path string) recorded {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Tokens) == 0 || len(r.Positions) != len(r.Tokens) || len(r.Greedy) != 120 {
		t.Fatalf("%s has %d tokens, %d positions, %d generated", path, len(r.Tokens), len(r.Positions), len(r.Greedy))
	}
	return r
}

// TestReference compares logits and greedy tokens with llama.cpp's. Its f16 and block kernels round activations to 16 and 8
// bits, which the tolerances, relative to the largest logit, leave room for. Rounding the vectors to 8 bits for every 256 elements,
// as its K kernels do, brings the differences of the K types from up to 2.2e-2 down to 4e-6.
func TestReference(t *testing.T) {
	t.Parallel()
	here := func(name string) func(testing.TB) string { return func(testing.TB) string { return name } }
	beside := func(elem ...string) func(testing.TB) string {
		return func(t testing.TB) string { return shared.Path(t, elem...) }
	}
	for _, c := range []struct {
		name             string
		model, reference func(testing.TB) string
		tolerance        float64
		greedy           int // how many of the 120 tokens must agree; the next one is a near-tie
	}{
		{"tiny-llama bf16 safetensors", here(tinyFolder), here("testdata/tiny-llama-f16.logits.json"), 2e-3, 120},
		{"tiny-llama q8_0 gguf", here(tinyGGUF), here("testdata/tiny-llama-q8_0.logits.json"), 2e-2, 120},
		{"tiny-llama f16 gguf", beside("gguf", "tiny-llama-f16.gguf"), here("testdata/tiny-llama-f16.logits.json"), 2e-3, 120},
		{"tiny-llama q4_0 gguf", beside("gguf", "tiny-llama-q4_0.gguf"), beside("gguf", "tiny-llama-q4_0.logits.json"), 2e-2, 9},
		{"tiny-llama q4_k_m gguf", beside("gguf", "tiny-llama-q4_k_m.gguf"), beside("gguf", "tiny-llama-q4_k_m.logits.json"), 2e-2, 31},
		{"tiny-llama q5_k_m gguf", beside("gguf", "tiny-llama-q5_k_m.gguf"), beside("gguf", "tiny-llama-q5_k_m.logits.json"), 2.5e-2, 84},
		{"tiny-llama q6_k gguf", beside("gguf", "tiny-llama-q6_k.gguf"), beside("gguf", "tiny-llama-q6_k.logits.json"), 2e-2, 120},
		{"tiny-llama iq4_nl gguf", beside("gguf", "tiny-llama-iq4_nl.gguf"), beside("gguf", "tiny-llama-iq4_nl.logits.json"), 2e-2, 23},
		{"stories260K f32 safetensors", beside("stories260K"), beside("gguf", "stories260K-f32.logits.json"), 1e-5, 120},
		{"stories260K f32 gguf", beside("gguf", "stories260K-f32.gguf"), beside("gguf", "stories260K-f32.logits.json"), 1e-5, 120},
		{"stories260K f16 gguf", beside("gguf", "stories260K-f16.gguf"), beside("gguf", "stories260K-f16.logits.json"), 2e-3, 120},
		{"stories260K q8_0 gguf", beside("gguf", "stories260K-q8_0.gguf"), beside("gguf", "stories260K-q8_0.logits.json"), 2e-2, 120},
		{"stories260K q4_0 gguf", beside("gguf", "stories260K-q4_0.gguf"), beside("gguf", "stories260K-q4_0.logits.json"), 2e-2, 74},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := open(t, c.model(t))
			want := readReference(t, c.reference(t))
			tok, err := m.Tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			ids := tok.Encode(want.Prompt, true)
			if d := cmp.Diff(want.Tokens, ids); d != "" {
				t.Fatal(d)
			}
			s := session(t, m, SessionOptions{Threads: 2})
			worst := 0.0
			err = s.EvalEach(context.Background(), ids, 0, func(i int, logits []float32) error {
				p := want.Positions[i]
				largest := 0.0
				for _, v := range p.First {
					largest = math.Max(largest, math.Abs(v))
				}
				for j, v := range p.First {
					worst = math.Max(worst, math.Abs(v-float64(logits[j]))/largest)
				}
				if got := Argmax(logits); p.Argmax >= 0 && got != p.Argmax {
					t.Errorf("position %d: token %d is the likeliest, want %d", i, got, p.Argmax)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("largest relative difference %.2g", worst)
			if !(worst <= c.tolerance) {
				t.Errorf("logits differ by %.3g of the largest, tolerance %.3g", worst, c.tolerance)
			}
			s.Truncate(0)
			g, err := s.Generate(context.Background(), ids, GenerateOptions{MaxTokens: 120, IgnoreEnd: true})
			if err != nil {
				t.Fatal(err)
			}
			got := g.IDs
			if d := cmp.Diff(want.Greedy[:c.greedy], got[:min(len(got), c.greedy)]); d != "" {
				t.Error(d)
			}
			if c.greedy < len(want.Greedy) {
				checkNearTie(t, s, ids, want.Greedy, got, 2*c.tolerance)
			}
		})
	}
}

// checkNearTie finds the first generated token in which two engines differ, and checks that ours gives both tokens logits that
// are nearly the same: that the gap between them is at most tolerance of the largest logit.
func checkNearTie(t *testing.T, s *Session, prompt, want, got []int, tolerance float64) {
	t.Helper()
	k := 0
	for k < len(got) && got[k] == want[k] {
		k++
	}
	if k == len(want) {
		return
	}
	s.Truncate(0)
	logits, err := s.Eval(context.Background(), slices.Concat(prompt, got[:k]))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := float64(logits[got[k]]), float64(logits[want[k]])
	gap := (ours - theirs) / ours
	t.Logf("token %d is %d with logit %.4f, not %d with %.4f: a gap of %.2g", k, got[k], ours, want[k], theirs, gap)
	if !(gap <= tolerance) {
		t.Errorf("token %d differs by a gap of %.3g, tolerance %.3g", k, gap, tolerance)
	}
}

func TestPerplexity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, model, text string
		beside            bool
		want, tolerance   float64
	}{
		{"tiny-llama bf16", tinyFolder, "testdata/perplexity-kjv.txt", false, 38.3516, 2e-3},
		{"tiny-llama q8_0", tinyGGUF, "testdata/perplexity-kjv.txt", false, 38.3441, 1e-2},
		{"tiny-llama f16", "gguf/tiny-llama-f16.gguf", "gguf/perplexity-kjv.txt", true, 38.3516, 2e-3},
		{"tiny-llama q4_0", "gguf/tiny-llama-q4_0.gguf", "gguf/perplexity-kjv.txt", true, 38.3316, 38.3316 * 5e-3},
		{"tiny-llama q4_k_m", "gguf/tiny-llama-q4_k_m.gguf", "gguf/perplexity-kjv.txt", true, 38.4663, 38.4663 * 5e-3},
		{"tiny-llama q5_k_m", "gguf/tiny-llama-q5_k_m.gguf", "gguf/perplexity-kjv.txt", true, 38.3698, 38.3698 * 5e-3},
		{"tiny-llama q6_k", "gguf/tiny-llama-q6_k.gguf", "gguf/perplexity-kjv.txt", true, 38.3269, 38.3269 * 5e-3},
		{"tiny-llama iq4_nl", "gguf/tiny-llama-iq4_nl.gguf", "gguf/perplexity-kjv.txt", true, 38.5217, 38.5217 * 5e-3},
		{"stories260K f32", "stories260K", "gguf/perplexity.txt", true, 4.0849, 5e-4},
		{"stories260K f32 gguf", "gguf/stories260K-f32.gguf", "gguf/perplexity.txt", true, 4.0849, 5e-4},
		{"stories260K f16 gguf", "gguf/stories260K-f16.gguf", "gguf/perplexity.txt", true, 4.0856, 1e-3},
		{"stories260K q8_0 gguf", "gguf/stories260K-q8_0.gguf", "gguf/perplexity.txt", true, 4.0838, 1e-2},
		{"stories260K q4_0 gguf", "gguf/stories260K-q4_0.gguf", "gguf/perplexity.txt", true, 4.4503, 4.4503 * 5e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			model, text := c.model, c.text
			if c.beside {
				model, text = shared.Path(t, filepath.FromSlash(model)), shared.Path(t, filepath.FromSlash(text))
			}
			b, err := os.ReadFile(text)
			if err != nil {
				t.Fatal(err)
			}
			p, err := open(t, model).Perplexity(context.Background(), string(b), 128, 2)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.4f over %d of %d tokens", p.Perplexity, p.Scored, p.Tokens)
			if math.Abs(p.Perplexity-c.want) > c.tolerance || p.Scored != p.Chunks*63 || p.NotFinite != 0 {
				t.Errorf("got %+v, want %.4f", p, c.want)
			}
		})
	}
}
