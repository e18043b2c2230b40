package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
)

// readingChecks are those that run nothing.
func readingChecks() (list []check) {
	for _, c := range checks() {
		if group, _, _ := strings.Cut(c.id, "."); group != "run" && group != "tensors" {
			list = append(list, c)
		}
	}
	return list
}

// TestHealthyModels: no check that reads finds fault with models that are known to be good.
func TestHealthyModels(t *testing.T) {
	t.Parallel()
	paths := []string{"../../examples/tiny-llama", "../../inference/testdata/tiny-llama-q8_0.gguf"}
	for _, name := range []string{"stories260K", "tiny-bert", "tiny-bert/tiny-bert-f32.gguf", "gguf/stories260K-f16.gguf", "gguf/stories260K-f32.gguf"} {
		paths = append(paths, sharedData(t, name))
	}
	for _, pattern := range []string{"architectures/*.gguf", "tokenizers/*.gguf"} {
		found, err := filepath.Glob(sharedData(t, filepath.Dir(pattern)) + "/" + filepath.Base(pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			files, err := verify.OpenPath(path)
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			o := verify.RunOptions{}.WithDefaults()
			r := runner{report: o.NewReport(), files: files, opts: o, engine: core{}}
			r.all(t.Context(), readingChecks())
			if r.broken != "" {
				t.Error(r.broken)
			}
			for _, x := range r.report.Results {
				switch x.Outcome {
				case verify.OutcomeFailed:
					t.Errorf("%s: %s", x.ID, x.Reason)
				case verify.OutcomeWarned:
					t.Logf("%s: %s", x.ID, x.Reason)
				}
			}
		})
	}
}
