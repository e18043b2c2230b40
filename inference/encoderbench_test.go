package inference

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// toyBERT writes a BERT of random weights in the size of the common embedding models, 6 layers of width 384, and returns its path.
// CARAT_BENCH_DIR keeps it for measuring another engine with the same file.
func toyBERT(b *testing.B, t tensor.Type) string {
	b.Helper()
	const hidden, feed, layers, heads, vocabulary, positions = 384, 1536, 6, 12, 30522, 512
	dir := os.Getenv("CARAT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, "toy-bert-"+t.String()+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	r := rand.New(rand.NewPCG(3, 4))
	var w gguf.Writer
	w.Set("general.architecture", "bert")
	for key, n := range map[string]uint32{
		"context_length": positions, "embedding_length": hidden, "feed_forward_length": feed, "block_count": layers,
		"attention.head_count": heads, "vocab_size": vocabulary, "pooling_type": 1,
	} {
		w.Set("bert."+key, n)
	}
	w.Set("bert.attention.layer_norm_epsilon", float32(1e-12))
	w.Set("bert.attention.causal", false)
	w.Set("tokenizer.ggml.model", "none")
	w.Set("tokenizer.ggml.token_type_count", uint32(2))
	matrix := func(name string, rows, cols int) {
		w.Add(name+".weight", t, []int{rows, cols}, toyBytes(b, r, t, rows*cols))
	}
	vector := func(name string, n int) { w.Add(name, tensor.F32, []int{n}, toyBytes(b, r, tensor.F32, n)) }
	linear := func(name string, rows, cols int) {
		matrix(name, rows, cols)
		vector(name+".bias", rows)
	}
	norm := func(name string) {
		vector(name+".weight", hidden)
		vector(name+".bias", hidden)
	}
	matrix("token_embd", vocabulary, hidden)
	matrix("position_embd", positions, hidden)
	w.Add("token_types.weight", tensor.F32, []int{2, hidden}, toyBytes(b, r, tensor.F32, 2*hidden))
	norm("token_embd_norm")
	for l := range layers {
		block := fmt.Sprintf("blk.%d.", l)
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
			linear(block+name, hidden, hidden)
		}
		norm(block + "attn_output_norm")
		linear(block+"ffn_up", feed, hidden)
		linear(block+"ffn_down", hidden, feed)
		norm(block + "layer_output_norm")
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriter(f)
	if err := w.Write(buffered); err != nil {
		b.Fatal(err)
	}
	if err := buffered.Flush(); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkEncoder measures the embedding of one text of 512 tokens, and of 32 texts of 16.
func BenchmarkEncoder(b *testing.B) {
	for _, t := range []tensor.Type{tensor.F16, tensor.Q8_0} {
		m := open(b, toyBERT(b, t))
		for _, threads := range []int{1, 2} {
			for _, c := range []struct{ texts, tokens int }{{1, 512}, {32, 16}} {
				b.Run(fmt.Sprintf("%s/threads=%d/%dx%d", t, threads, c.texts, c.tokens), func(b *testing.B) {
					e := encoder(b, m, EncoderOptions{Threads: threads})
					texts := make([]passage, c.texts)
					for i := range texts {
						texts[i].ids = make([]int, c.tokens)
						for j := range texts[i].ids {
							texts[i].ids[j] = (i*31 + j*7) % 30000
						}
					}
					for b.Loop() {
						if _, err := e.embed(context.Background(), texts); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N*c.texts*c.tokens)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
		}
	}
}
