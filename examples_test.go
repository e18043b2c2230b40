package carat_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestEmbedGo builds a program outside the module that uses the inference core, and lets it answer.
func TestEmbedGo(t *testing.T) {
	t.Parallel()
	const dir = "examples/embed-go"
	source, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n >= 30 {
		t.Errorf("the program has %d lines; it is to show that less than 30 are enough", n)
	}
	program := filepath.Join(t.TempDir(), "embed-go")
	build := exec.Command("go", "build", "-mod=readonly", "-o", program, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program, "examples/tiny-llama", "Who made the heaven?").Output()
	if err != nil || len(bytes.Fields(out)) < 10 {
		t.Errorf("it answers %q, %v", out, err)
	}
	again, err := exec.Command(program, "examples/tiny-llama", "Who made the heaven?").Output()
	if err != nil || !bytes.Equal(out, again) {
		t.Errorf("then it answers %q, %v", again, err)
	}
	if out, err := exec.Command(program, "no-such-model", "Who?").Output(); err == nil || len(out) > 0 {
		t.Errorf("without a model it answers %q", out)
	}
}
