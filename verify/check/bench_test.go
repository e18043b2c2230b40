package check_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/verifytest"
)

// BenchmarkVerify verifies models with random weights at level standard and tells the seconds of each check that takes any. The weights
// are those of no model, so that checks which judge them fail; they take the time that they take.
func BenchmarkVerify(b *testing.B) {
	for name, toy := range map[string]verifytest.Toy{
		"10M":  {Layers: 4, Hidden: 256, FeedForward: 768, Heads: 8, KVHeads: 2, Vocabulary: 4096},
		"1.1B": {Layers: 22, Hidden: 2048, FeedForward: 5632, Heads: 32, KVHeads: 4, Vocabulary: 32000},
	} {
		b.Run(name, func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "model.gguf")
			toy.WriteGGUF(b, file)
			seconds := map[string]float64{}
			for b.Loop() {
				files, err := verify.OpenPath(file)
				if err != nil {
					b.Fatal(err)
				}
				r := check.Verify(b.Context(), files, verify.RunOptions{})
				if r.State == verify.StateError {
					b.Fatal(r.Summary)
				}
				for _, x := range r.Results {
					seconds[x.ID] += x.Seconds
					if x.ID == "run.alternatives" && x.Outcome == verify.OutcomeSkipped {
						b.Errorf("%s: %s", x.ID, x.Reason)
					}
				}
				if err := files.Close(); err != nil {
					b.Fatal(err)
				}
			}
			for id, s := range seconds {
				if s /= float64(b.N); s > 0.05 {
					b.ReportMetric(s, "s/"+strings.ReplaceAll(id, ".", "-"))
				}
			}
		})
	}
}
