package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
)

func TestQuantizeCommand(t *testing.T) {
	t.Parallel()
	sh, dir := newShell(t), t.TempDir()
	const text = "../../inference/testdata/perplexity-kjv.txt"
	perplexity := func(model string) float64 {
		out, _ := sh.run(0, "", "perplexity", model, "--text", text, "-c", "128", "--json")
		var p inference.Perplexity
		if err := json.Unmarshal([]byte(out), &p); err != nil {
			t.Fatal(err)
		}
		return p.Perplexity
	}
	small := filepath.Join(dir, "tiny-q8_0.gguf")
	out, msg := sh.run(0, "", "quantize", exampleModel, small, "--type", "Q8_0")
	if !strings.HasPrefix(out, small+": Q8_0, 3.1 MB of weights (8.52 bits each), from 5.8 MB of BF16\n") || msg != "" {
		t.Errorf("printed %q and %q", out, msg)
	}
	if before, after := perplexity(exampleModel), perplexity(small); math.Abs(after/before-1) > 0.005 {
		t.Errorf("perplexity %g became %g", before, after)
	}
	// The file talks as the folder does, and is named after it.
	answer := func(model string) string {
		out, _ := sh.run(0, "", "run", model, "Who?", "--temperature", "0", "-n", "4")
		return out
	}
	if a, b := answer(exampleModel), answer(small); a != b {
		t.Errorf("answers %q and %q", a, b)
	}
	if out, _ := sh.run(0, "", "inspect", small, "--json"); !strings.Contains(out, `"llama"`) {
		t.Errorf("inspect prints %s", out)
	}

	if _, msg := sh.run(1, "", "quantize", exampleModel, small); !strings.Contains(msg, "--force replaces it") {
		t.Errorf("over a file: %s", msg)
	}
	sh.run(0, "", "quantize", small, small, "--type", "q4_k_m", "--force")
	if info, err := os.Stat(small); err != nil || info.Size() > 2_100_000 || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	// What fails leaves nothing behind.
	for _, args := range [][]string{
		{exampleModel, filepath.Join(dir, "x.gguf"), "--type", "q9"},
		{damagedExample(t, "model.safetensors", func(p []byte) []byte { return p[:len(p)/2] }), filepath.Join(dir, "x.gguf")},
		{damagedExample(t, "tokenizer.json", func([]byte) []byte { return []byte("{}") }), filepath.Join(dir, "x.gguf")},
		{exampleModel, filepath.Join(dir, "no-such-folder", "x.gguf")},
	} {
		sh.run(1, "", append([]string{"quantize"}, args...)...)
	}
	if entries := must(os.ReadDir(dir))(t); len(entries) != 1 {
		t.Errorf("left are %v", entries)
	}
	sh.run(2, "", "quantize", exampleModel)
	sh.run(2, "", "quantize", "no/such/thing", filepath.Join(dir, "x.gguf"))
}
