package inference

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// doubled is a toy whose second layer has each head twice, with its own copy of the keys and values, and half of the output for each:
// it computes what the toy computes.
func doubled() *toy {
	m := newToy()
	m.keys["llama.attention.head_count"] = []int32{2, 4}
	m.keys["llama.attention.head_count_kv"] = []int32{1, 2}
	const p = "blk.1.attn_"
	for _, name := range []string{"q", "k", "v"} {
		t := m.tensors[p+name+".weight"]
		m.tensors[p+name+".weight"] = toyTensor{[]int{2 * t.shape[0], t.shape[1]}, append(slices.Clone(t.values), t.values...)}
	}
	o := m.tensors[p+"output.weight"]
	var values []float32
	for row := range slices.Chunk(o.values, o.shape[1]) {
		for range 2 {
			for _, v := range row {
				values = append(values, v/2)
			}
		}
	}
	m.tensors[p+"output.weight"] = toyTensor{[]int{o.shape[0], 2 * o.shape[1]}, values}
	return m
}

// TestHeadsOfEachLayer: layers may differ in their heads, with one number of key heads for all or one for each.
func TestHeadsOfEachLayer(t *testing.T) {
	t.Parallel()
	ids := []int{1, 5, 2, 9, 3}
	run := func(m *toy, o SessionOptions) [][]float32 {
		model, err := Open(t.Context(), m.gguf(t))
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		estimate, err := EstimateMemory(t.Context(), m.gguf(t), o)
		if err != nil || estimate != model.Memory(o) {
			t.Errorf("estimated are %+v, %v, the open model says %+v", estimate, err, model.Memory(o))
		}
		s := model.NewSession(o)
		defer s.Close()
		var held int64
		for i := range s.keys {
			held += s.keys[i].Bytes(s.Context()) + s.values[i].Bytes(s.Context())
		}
		if held != estimate.Cache {
			t.Errorf("the caches take %d bytes, estimated are %d", held, estimate.Cache)
		}
		return evalAll(t, s, ids)
	}
	for _, o := range []SessionOptions{{Threads: 1, Context: 8}, {Threads: 2, Context: 8, Batch: 2}} {
		want := run(newToy(), o)
		for i, got := range run(doubled(), o) {
			for j, v := range got {
				if !(math.Abs(float64(v-want[i][j])) <= 1e-5) {
					t.Fatalf("logit %d of token %d is %v, want %v", j, i, v, want[i][j])
				}
			}
		}
	}
}

func TestRefusedHeadsOfEachLayer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		queries, shared any
		says            string
	}{
		"too few numbers":     {[]int32{2, 4}, []int32{1}, "cover all layers"},
		"no heads":            {[]int32{2, 0}, []int32{1, 2}, "layer 1 has 0 heads"},
		"no key heads":        {[]int32{2, 4}, []int32{1, 0}, "layer 1 has 4 heads and 0"},
		"cannot be shared":    {[]int32{2, 4}, []int32{1, 3}, "4 heads cannot share 3"},
		"another shape":       {[]int32{4, 2}, []int32{2, 1}, "blk.1.attn_q.weight"},
		"one of keys for all": {[]int32{2, 4}, uint32(2), "blk.0.attn_k.weight"},
		"as many as queries":  {[]int32{2, 4}, nil, "blk.0.attn_k.weight"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := doubled()
			m.keys["llama.attention.head_count"] = c.queries
			if m.keys["llama.attention.head_count_kv"] = c.shared; c.shared == nil {
				delete(m.keys, "llama.attention.head_count_kv")
			}
			model, err := Open(context.Background(), m.gguf(t))
			if err == nil {
				model.Close()
			}
			var bad *MalformedError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}
