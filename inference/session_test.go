package inference

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/internal/shared"
)

var sequence = []int{0, 926, 261, 1889, 1307, 12, 400, 77, 1500, 3, 2047}

// evalAll returns a copy of the logits of all positions.
func evalAll(t testing.TB, s *Session, ids []int) [][]float32 {
	t.Helper()
	var all [][]float32
	err := s.EvalEach(context.Background(), ids, 0, func(_ int, logits []float32) error {
		all = append(all, slices.Clone(logits))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLogitsDoNotDependOnThreadsBatchesOrMapping compares exactly, but for batches of another size: a few vectors are added up in
// another order than many, and block types are multiplied with few as integers.
func TestLogitsDoNotDependOnThreadsBatchesOrMapping(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"folder": tinyFolder, "gguf": tinyGGUF} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, path)
			want := evalAll(t, session(t, m, SessionOptions{Threads: 1}), sequence)
			if len(want) != len(sequence) {
				t.Fatalf("%d positions", len(want))
			}
			for name, o := range map[string]SessionOptions{"2 threads": {Threads: 2}, "7 threads": {Threads: 7}, "batches of 3": {Threads: 2, Batch: 3}, "single": {Batch: 1}} {
				difference := 0.0
				for i, logits := range evalAll(t, session(t, m, o), sequence) {
					difference = max(difference, largestDifference(want[i], logits))
				}
				tolerance := 0.0
				switch {
				case o.Batch > 0 && path == tinyFolder:
					tolerance = 1e-4
				case o.Batch > 0:
					tolerance = 0.15 // of logits up to 15: 8 bits for activations
				}
				if !(difference <= tolerance) {
					t.Errorf("%s: logits differ by %g", name, difference)
				}
			}
			read, err := Open(context.Background(), unmapped(t, path))
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			for i, logits := range evalAll(t, session(t, read, SessionOptions{Threads: 2}), sequence) {
				if difference := largestDifference(want[i], logits); difference != 0 {
					t.Errorf("read without a mapping: logits of position %d differ by %g", i, difference)
				}
			}
		})
	}
}

// largestDifference returns the largest difference between logits; NaN when one is no number.
func largestDifference(a, b []float32) float64 {
	largest := 0.0
	for i := range a {
		largest = max(largest, math.Abs(float64(a[i])-float64(b[i])))
	}
	return largest
}

// unmapped gives the files of path through plain readers.
func unmapped(t testing.TB, path string) Files {
	t.Helper()
	files, err := OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]Source{}
	for _, name := range files.Names() {
		f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		sources[name] = Source{ReaderAt: f, Size: f.Size()}
	}
	return FromSources(sources)
}

func TestFromOpen(t *testing.T) {
	t.Parallel()
	f, err := os.Open(tinyGGUF)
	if err != nil {
		t.Fatal(err)
	}
	files := FromOpen(map[string]*os.File{"model.gguf": f})
	m, err := Open(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, m, SessionOptions{})
	if _, err := s.Eval(context.Background(), sequence); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Eval(context.Background(), sequence); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := files.Open("other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown name: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("the descriptor was not left open: %v", err)
	}
}

// TestFileCutShort shortens a file under its mapping: that is an error of the session, not the end of the process.
func TestFileCutShort(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(tinyGGUF)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := session(t, open(t, path), SessionOptions{Threads: 2})
	for _, size := range []int64{1 << 20, 1 << 16} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Eval(context.Background(), sequence); err == nil || s.Len() != 0 {
			t.Errorf("%d bytes left: %v, length %d", size, err, s.Len())
		}
	}
}

func TestSequence(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := open(t, tinyFolder)
	s := session(t, m, SessionOptions{Context: 12})
	whole, err := s.Eval(ctx, sequence)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(whole)
	s.Truncate(4)
	again, err := s.Eval(ctx, sequence[4:])
	if err != nil {
		t.Fatal(err)
	}
	if d := largestDifference(want, again); !(d < 1e-4) || s.Len() != len(sequence) {
		t.Errorf("a sequence continued after Truncate differs by %g, length %d", d, s.Len())
	}
	for name, ids := range map[string][]int{"too many": make([]int, 2), "none": nil, "negative": {-1}, "beyond the vocabulary": {2048}} {
		if _, err := s.Eval(ctx, ids); err == nil || s.Len() != len(sequence) {
			t.Errorf("%s: %v, length %d", name, err, s.Len())
		}
	}
	s.Truncate(0)
	out, err := s.Generate(ctx, sequence, GenerateOptions{MaxTokens: 50, IgnoreEnd: true})
	if err != nil || len(out.IDs) != 2 || out.End != EndContext {
		t.Errorf("generation at the end of the context: %+v, %v", out, err)
	}
	stop := errors.New("enough")
	s.Truncate(0)
	out, err = s.Generate(ctx, sequence[:2], GenerateOptions{MaxTokens: 5, OnToken: func(int) error { return stop }})
	if !errors.Is(err, stop) || len(out.IDs) != 1 || out.End != "" {
		t.Errorf("generation stopped by its caller: %+v, %v", out, err)
	}
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	s := session(t, m, SessionOptions{Batch: 2})
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	err := s.EvalEach(ctx, sequence, 0, func(int, []float32) error {
		if calls++; calls == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || s.Len() != 0 || calls != 2 {
		t.Errorf("%v after %d calls, length %d", err, calls, s.Len())
	}
	text, err := os.ReadFile("testdata/perplexity-kjv.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Perplexity(ctx, string(text), 128, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("perplexity: %v", err)
	}
	if _, err := s.Generate(ctx, sequence, GenerateOptions{MaxTokens: 5}); !errors.Is(err, context.Canceled) {
		t.Errorf("generate: %v", err)
	}
	files, err := OpenPath(tinyFolder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, files); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	if err := ScanTensors(ctx, files, func(TensorScan) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("scan: %v", err)
	}
	if _, err := Inspect(ctx, files); !errors.Is(err, context.Canceled) {
		t.Errorf("inspect: %v", err)
	}
}

func TestDecodingAllocatesNothing(t *testing.T) {
	// Not parallel: it counts the allocations of the whole process.
	m := open(t, tinyGGUF)
	s := session(t, m, SessionOptions{Threads: 2, Context: 64})
	id := []int{5}
	if _, err := s.Eval(context.Background(), sequence); err != nil {
		t.Fatal(err)
	}
	perToken := testing.AllocsPerRun(20, func() {
		if _, err := s.Eval(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	})
	if perToken > 4 {
		t.Errorf("%v allocations per token", perToken)
	}
}

func TestToyArchitecturesHaveFacts(t *testing.T) {
	t.Parallel()
	dir := shared.Path(t, "architectures")
	paths, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil || len(paths) < 20 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		files, err := OpenPath(path)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := Inspect(context.Background(), files)
		if err != nil || facts.Parameters == 0 || facts.Layers == 0 || facts.Architecture == "" {
			t.Errorf("%s: %v, %v", path, facts, err)
			continue
		}
		m, err := Open(context.Background(), files)
		var unsupported *UnsupportedError
		switch {
		case err == nil:
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if !facts.Runnable {
				t.Errorf("%s: opens, but Inspect says %s", path, facts.Unsupported)
			}
		case !errors.As(err, &unsupported) || facts.Runnable || facts.Unsupported != err.Error():
			t.Errorf("%s: Open says %v, Inspect %q", path, err, facts.Unsupported)
		}
	}
}

// TestCacheTypes compares logits with keys and values of fewer bits, and what the caches take.
func TestCacheTypes(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	want := evalAll(t, session(t, m, SessionOptions{}), sequence)
	whole := m.Memory(SessionOptions{}).Cache
	for name, c := range map[string]struct {
		o         SessionOptions
		tolerance float64 // of logits up to 15
		share     float64
	}{
		"f16": {SessionOptions{Cache: CacheF16}, 0.01, 0.5}, "q8": {SessionOptions{Cache: CacheQ8, Batch: 3}, 0.3, 0.27},
	} {
		largest := 0.0
		for i, logits := range evalAll(t, session(t, m, c.o), sequence) {
			largest = max(largest, largestDifference(want[i], logits))
		}
		if !(largest > 0 && largest <= c.tolerance) {
			t.Errorf("%s: logits differ by %g", name, largest)
		}
		if got := float64(m.Memory(c.o).Cache) / float64(whole); got > c.share {
			t.Errorf("%s takes %.2f of what 32 bits do", name, got)
		}
	}
}

func TestParseCacheType(t *testing.T) {
	t.Parallel()
	for _, c := range []CacheType{CacheF32, CacheF16, CacheQ8} {
		if got, err := ParseCacheType(c.String()); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCacheType("q2_k"); err == nil {
		t.Error("an unknown name was accepted")
	}
}
