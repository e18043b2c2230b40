package main

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
)

func TestEmbedCommand(t *testing.T) {
	t.Parallel()
	m, err := inference.Load(t.Context(), exampleModel, inference.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	enc, err := m.NewEncoder(inference.EncoderOptions{Threads: 1, Pooling: inference.PoolingMean})
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	texts := make([]string, 40) // more than a batch
	for i := range texts {
		texts[i] = "And God said " + strconv.Itoa(i)
	}
	want, err := enc.EmbedAll(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	sh := newShell(t)
	args := []string{"embed", exampleModel, "--pooling", "mean", "-t", "1"}
	check := func(i int, text string, got []float32) {
		t.Helper()
		if text != texts[i] || len(got) != len(want[i]) {
			t.Fatalf("text %d: %q with %d numbers", i, text, len(got))
		}
		for j := range got {
			// A batch of another size can add in another order.
			if math.Abs(float64(got[j]-want[i][j])) > 1e-4 {
				t.Fatalf("text %d: element %d is %g, want %g", i, j, got[j], want[i][j])
			}
		}
	}
	out, _ := sh.run(0, strings.Join(texts, "\n"), append(args, "--json")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(texts) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var got struct {
			Text      string
			Embedding []float32
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		check(i, got.Text, got.Embedding)
	}
	numbers := func(line string) (v []float32) {
		for _, n := range strings.Fields(line) {
			x, err := strconv.ParseFloat(n, 32)
			if err != nil {
				t.Fatal(err)
			}
			v = append(v, float32(x))
		}
		return v
	}
	out, _ = sh.run(0, "", append(args, texts[0], texts[1])...)
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		check(i, texts[i], numbers(line))
	}
	out, _ = sh.run(0, "", append(args, texts[0], "--normalize")...)
	length := 0.0
	for _, x := range numbers(out) {
		length += float64(x) * float64(x)
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("a length of %g", math.Sqrt(length))
	}

	long := strings.Repeat("word ", 300)
	if _, msg := sh.run(1, "", append(args, long)...); !strings.Contains(msg, "tokens") {
		t.Errorf("a long text: %s", msg)
	}
	sh.run(0, "", append(args, long, "--truncate")...)
	sh.run(1, "", "embed", exampleModel, "x", "--pooling", "median")
	sh.run(1, strings.Repeat("x", maxLine+1), args...)
	sh.run(2, "", "embed")
	if out, _ := sh.run(0, "", args...); out != "" {
		t.Errorf("of no text: %q", out)
	}
}
