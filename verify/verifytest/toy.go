package verifytest

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// Toy is the shape of a Llama model with random weights, for measuring time. The rows of its matrices are multiples of 256.
type Toy struct {
	Layers, Hidden, FeedForward, Heads, KVHeads, Vocabulary int
}

// WriteGGUF writes the model as Q4_K_M to a file, with the vocabulary of TinyLlama filled up to its size.
func (y Toy) WriteGGUF(t testing.TB, name string) {
	t.Helper()
	source := TinyLlama(t).Quantized(t, "q8_0")
	head := y.Hidden / y.Heads
	tokens, kinds := source.tokens(t), source.types(t)
	for i := len(tokens); i < y.Vocabulary; i++ {
		tokens, kinds = append(tokens, fmt.Sprintf("[unused %d]", i)), append(kinds, 5)
	}
	source.Keys = map[string]any{"general.file_type": uint32(15), "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds}
	for key, v := range map[string]int{
		"context_length": 2048, "embedding_length": y.Hidden, "block_count": y.Layers, "feed_forward_length": y.FeedForward,
		"attention.head_count": y.Heads, "attention.head_count_kv": y.KVHeads, "vocab_size": y.Vocabulary,
		"attention.key_length": head, "attention.value_length": head, "rope.dimension_count": head,
	} {
		source.Keys["llama."+key] = uint32(v)
	}
	var w gguf.Writer
	source.setKeys(t, &w)
	y.addTensors(&w)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := w.Write(f); err != nil {
		t.Fatal(err)
	}
}

func (y Toy) addTensors(w *gguf.Writer) {
	r := rand.New(rand.NewPCG(1, 2))
	norm := func(name string, scale float32) {
		t := Tensor{Type: tensor.F32, Shape: []int{y.Hidden}}
		v := make([]float32, y.Hidden)
		for i := range v {
			v[i] = scale * (1 + float32(r.NormFloat64())/10)
		}
		t.Set(v)
		w.Add(name, t.Type, t.Shape, t.Data)
	}
	matrix := func(name string, kind tensor.Type, rows, cols int) {
		w.AddFrom(name, kind, []int{rows, cols}, func(out io.Writer) error { return randomBlocks(out, r, kind, rows*cols, 1/math.Sqrt(float64(cols))) })
	}
	matrix("token_embd.weight", tensor.Q4K, y.Vocabulary, y.Hidden)
	for l := range y.Layers {
		at := fmt.Sprintf("blk.%d.", l)
		more := tensor.Q4K
		if l%2 == 0 {
			more = tensor.Q6K
		}
		kv := y.Hidden / y.Heads * y.KVHeads
		norm(at+"attn_norm.weight", 1)
		matrix(at+"attn_q.weight", tensor.Q4K, y.Hidden, y.Hidden)
		matrix(at+"attn_k.weight", tensor.Q4K, kv, y.Hidden)
		matrix(at+"attn_v.weight", more, kv, y.Hidden)
		matrix(at+"attn_output.weight", tensor.Q4K, y.Hidden, y.Hidden)
		norm(at+"ffn_norm.weight", 1)
		matrix(at+"ffn_gate.weight", tensor.Q4K, y.FeedForward, y.Hidden)
		matrix(at+"ffn_up.weight", tensor.Q4K, y.FeedForward, y.Hidden)
		matrix(at+"ffn_down.weight", more, y.Hidden, y.FeedForward)
	}
	norm("output_norm.weight", 4) // so that outputs differ
	matrix("output.weight", tensor.Q6K, y.Vocabulary, y.Hidden)
}

// randomBlocks writes blocks drawn from a few hundred, since encoding each would take longer than what is measured.
func randomBlocks(out io.Writer, r *rand.Rand, kind tensor.Type, elements int, size float64) error {
	n, bytes := kind.Block()
	pool := make([][]byte, 256)
	x := make([]float32, n)
	for i := range pool {
		for j := range x {
			x[j] = float32(r.NormFloat64() * size)
		}
		pool[i] = make([]byte, bytes)
		if err := tensor.Encode(kind, pool[i], x); err != nil {
			return err
		}
	}
	var b []byte
	for range elements / n {
		b = append(b, one(r, pool)...)
		if len(b) > 1<<20 {
			if _, err := out.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := out.Write(b)
	return err
}
