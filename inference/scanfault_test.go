//go:build unix

package inference

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// shortening cuts a file off once it is mapped.
type shortening struct {
	Files
	path string
}

func (s shortening) Open(name string) (File, error) {
	f, err := s.Files.Open(name)
	if err != nil {
		return nil, err
	}
	return f, os.Truncate(s.path, 8192)
}

// TestScanSurvivesTruncation cuts a mapped file off: reading on is an error, and not the end of the process.
func TestScanSurvivesTruncation(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.gguf")
	data := stored(t, tensor.F32, make([]float32, 1<<20))
	if err := os.WriteFile(name, scanFile(t, scanTensor{"w", tensor.F32, []int{1024, 1024}, data}), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := OpenPath(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := ScanTensors(t.Context(), shortening{files, name}, func(TensorScan) error { return nil }); err == nil {
		t.Error("what is not there was read")
	}
}
