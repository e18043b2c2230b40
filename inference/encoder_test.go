package inference

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/internal/shared"
)

func encoder(t testing.TB, m *Model, o EncoderOptions) *Encoder {
	t.Helper()
	e, err := m.NewEncoder(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// far returns the largest difference of two vectors by the largest element of the second.
func far(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	largest, worst := 0.0, 0.0
	for i, v := range want {
		largest = max(largest, math.Abs(v))
		if d := math.Abs(float64(got[i]) - v); !(d <= worst) {
			worst = d
		}
	}
	return worst / largest
}

// TestTrainedEncoder compares the embeddings of a trained BERT with those that PyTorch computed.
func TestTrainedEncoder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, err := os.ReadFile(shared.Path(t, "tiny-bert", "reference_torch.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Sentences  []string
		IDs        [][]int
		Embeddings [][]float64
	}
	if err := json.Unmarshal(b, &want); err != nil || len(want.Sentences) == 0 {
		t.Fatal(len(want.Sentences), err)
	}
	for name, path := range map[string]string{"folder": shared.Path(t, "tiny-bert"), "gguf": shared.Path(t, "tiny-bert", "tiny-bert-f32.gguf")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, path)
			tok, err := m.Tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			e := encoder(t, m, EncoderOptions{Threads: 2, Normalize: true})
			all, err := e.EmbedAll(ctx, want.Sentences)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range want.Sentences {
				if d := cmp.Diff(want.IDs[i], tok.Encode(s, true)); d != "" {
					t.Error(d)
				}
				alone, err := e.Embed(ctx, s)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(alone, all[i]) {
					t.Errorf("%q has another embedding among others", s)
				}
				difference := far(alone, want.Embeddings[i])
				t.Logf("%q differs by %.2g of the largest element", s, difference)
				if !(difference <= 1e-5) {
					t.Errorf("%q differs by %.3g of the largest element", s, difference)
				}
			}
			if alike, other := Similarity(all[0], all[1]), Similarity(all[0], all[2]); !(alike > other) {
				t.Errorf("similarity of sentences on light %g, of others %g", alike, other)
			}
			facts := m.Facts()
			if facts.Kind != "encoder" || facts.Task != FeatureExtraction || facts.Pooling != PoolingMean || facts.EmbeddingSize != 128 ||
				facts.Normalized != (name == "folder") || facts.ContextLength != 128 || !facts.Runnable {
				t.Errorf("facts: %+v", facts)
			}
			_, err = session(t, m, SessionOptions{}).Generate(ctx, []int{2, 3}, GenerateOptions{MaxTokens: 1})
			var unsupported *UnsupportedError
			if !errors.As(err, &unsupported) || unsupported.What != "task" {
				t.Errorf("an encoder generates: %v", err)
			}
			if _, err := m.Perplexity(ctx, "text", 4, 1); !errors.As(err, &unsupported) {
				t.Errorf("an encoder has a perplexity: %v", err)
			}
		})
	}
}
