package inference

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// toyBytes are random weights of a type, each block with values of the size that keeps a model's states finite.
func toyBytes(b *testing.B, r *rand.Rand, t tensor.Type, elements int) []byte {
	b.Helper()
	size, ok := t.Size(int64(elements))
	if !ok {
		b.Fatalf("%d elements of %s", elements, t)
	}
	data := make([]byte, size)
	switch t {
	case tensor.F32:
		for i := range elements {
			binary.LittleEndian.PutUint32(data[4*i:], 0x3f800000)
		}
	case tensor.F16:
		for i := range elements {
			binary.LittleEndian.PutUint16(data[2*i:], tensor.HalfFromFloat(float32(r.NormFloat64()*0.02)))
		}
	case tensor.Q8_0:
		for i := 0; i+8 <= len(data); i += 8 {
			binary.LittleEndian.PutUint64(data[i:], r.Uint64())
		}
		for i := 0; i < len(data); i += 34 {
			binary.LittleEndian.PutUint16(data[i:], tensor.HalfFromFloat(0.0003))
		}
	default:
		b.Fatalf("no toy weights of %s", t)
	}
	return data
}

// toyModel writes a Llama of random weights, 750 million parameters, and returns its path. CARAT_BENCH_DIR keeps it for
// measuring another engine with the same file.
func toyModel(b *testing.B, t tensor.Type) string {
	b.Helper()
	const hidden, feedForward, layers, heads, kvHeads, vocabulary = 2048, 5632, 14, 32, 4, 32000
	dir := os.Getenv("CARAT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, "toy-llama-"+t.String()+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	r := rand.New(rand.NewPCG(1, 2))
	var w gguf.Writer
	w.Set("general.architecture", "llama")
	w.Set("general.name", "toy")
	for key, n := range map[string]uint32{
		"context_length": 2048, "embedding_length": hidden, "feed_forward_length": feedForward, "block_count": layers,
		"attention.head_count": heads, "attention.head_count_kv": kvHeads, "vocab_size": vocabulary, "rope.dimension_count": hidden / heads,
	} {
		w.Set("llama."+key, n)
	}
	w.Set("llama.attention.layer_norm_rms_epsilon", float32(1e-5))
	w.Set("tokenizer.ggml.model", "no_vocab")
	matrix := func(name string, rows, cols int) {
		w.Add(name+".weight", t, []int{rows, cols}, toyBytes(b, r, t, rows*cols))
	}
	norm := func(name string) {
		w.Add(name+".weight", tensor.F32, []int{hidden}, toyBytes(b, r, tensor.F32, hidden))
	}
	matrix("token_embd", vocabulary, hidden)
	norm("output_norm")
	for l := range layers {
		block := fmt.Sprintf("blk.%d.", l)
		norm(block + "attn_norm")
		norm(block + "ffn_norm")
		matrix(block+"attn_q", hidden, hidden)
		matrix(block+"attn_k", hidden/heads*kvHeads, hidden)
		matrix(block+"attn_v", hidden/heads*kvHeads, hidden)
		matrix(block+"attn_output", hidden, hidden)
		matrix(block+"ffn_gate", feedForward, hidden)
		matrix(block+"ffn_up", feedForward, hidden)
		matrix(block+"ffn_down", hidden, feedForward)
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

// BenchmarkModel measures what llama-bench calls pp512 and tg64: the evaluation of 512 tokens in an empty context, and 64 steps of one token.
func BenchmarkModel(b *testing.B) {
	for _, c := range []struct {
		name string
		path func(b *testing.B) string
	}{
		{"tiny-llama", func(*testing.B) string { return tinyFolder }},
		{"toy Q8_0", func(b *testing.B) string { return toyModel(b, tensor.Q8_0) }},
		{"toy F16", func(b *testing.B) string { return toyModel(b, tensor.F16) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := open(b, c.path(b))
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
					s := session(b, m, SessionOptions{Threads: threads, Context: 512})
					prompt := make([]int, min(512, s.Context()))
					for i := range prompt {
						prompt[i] = i * 7 % m.Vocabulary()
					}
					eval := func(ids []int) {
						if _, err := s.Eval(context.Background(), ids); err != nil {
							b.Fatal(err)
						}
					}
					eval(prompt[:64]) // reads the weights
					var prefill, decode time.Duration
					for b.Loop() {
						s.Truncate(0)
						start := time.Now()
						eval(prompt)
						prefill += time.Since(start)
						s.Truncate(0)
						start = time.Now()
						for i := range 64 {
							eval(prompt[i : i+1])
						}
						decode += time.Since(start)
					}
					b.ReportMetric(float64(b.N*len(prompt))/prefill.Seconds(), "prompt-tokens/s")
					b.ReportMetric(float64(b.N*64)/decode.Seconds(), "generated-tokens/s")
				})
			}
		})
	}
}
