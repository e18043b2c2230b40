package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCommitted shows that the files of the library are those that the generator writes. The first line, which has the command, is
// left out: it names the files.
func TestCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generator := filepath.Join(dir, "kernelgen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", generator, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for part, name := range map[string]string{"common": "vector_amd64", "layer": "layer_amd64", "rare": "rare_amd64"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			out, err := exec.CommandContext(t.Context(), generator, "-part", part, "-out", path+".s", "-stubs", path+".go", "-pkg", "kernel").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, extension := range []string{".s", ".go"} {
				want, err := os.ReadFile(path + extension)
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join("../../inference/kernel", name+extension))
				if err != nil {
					t.Fatal(err)
				}
				_, got, _ = bytes.Cut(got, []byte("\n"))
				_, want, _ = bytes.Cut(want, []byte("\n"))
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not what the generator writes: go generate ./inference/kernel", name+extension)
				}
			}
		})
	}
}
