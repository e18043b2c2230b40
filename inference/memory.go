package inference

import (
	"context"
	"errors"
)

// MemoryEstimate says how many bytes a model and one session of it take, or its encoder where it predicts no next token.
type MemoryEstimate struct {
	// Weights lie in the files, those of adapters too. Where those are mapped, the operating system keeps of them in memory what fits, and a model larger
	// than memory runs at the speed of the disk.
	Weights int64 `json:"weights"`
	// Decoded are the weights that opening copies into memory: norms, biases, and matrices stored in another order.
	Decoded int64 `json:"decoded"`
	// Cache are the keys and values of Context positions, in whole pages, which an encoder does not keep. It grows with the sequence.
	Cache int64 `json:"cache"`
	// Activations are the states of a batch and the logits, and in an encoder those of the longest text.
	Activations int64 `json:"activations"`
	// Context is how many positions the session can hold.
	Context int `json:"context"`
}

// Total returns the sum of all parts.
func (e MemoryEstimate) Total() int64 { return e.Weights + e.Decoded + e.Cache + e.Activations }

// EstimateMemory tells what Memory will of a model that is opened with adapters, from names, sizes and headers alone. Errors are those
// of OpenWith.
func EstimateMemory(ctx context.Context, files Files, o SessionOptions, adapters ...Adapter) (e MemoryEstimate, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return e, err
	}
	m := &Model{c: c}
	defer func() { err = errors.Join(err, m.closeFiles()) }()
	if m.desc, err = c.describe(ctx); err != nil {
		return e, err
	}
	open, err := m.openAdapters(ctx, adapters)
	if err != nil {
		return e, err
	}
	if m.weights, err = bind(ctx, c, m.desc, bindOptions{dry: true, adapters: open}); err != nil {
		return e, err
	}
	return m.Memory(o), nil
}

// Memory tells what the model and a session of it take.
func (m *Model) Memory(o SessionOptions) (e MemoryEstimate) {
	d, w := m.desc, m.weights
	for _, c := range append([]*container{m.c}, m.also...) {
		for _, t := range c.tensors {
			e.Weights += t.size
		}
	}
	o = m.sessionOptions(o)
	e.Decoded, e.Context = w.decoded, o.Context
	e.Activations = 4 * int64(o.Batch) * int64(d.width()+w.adapterRank+w.adapterRows)
	kv := int64(d.KVHeads * (d.HeadDim + d.ValueDim))
	if m.encodes() {
		e.Activations += 4 * int64(max(o.Context, packedTokens)) * (int64(d.Hidden+d.Heads*d.HeadDim) + kv)
		return e
	}
	for l := range d.Layers {
		keys, values := d.caches(l, o.Cache)
		e.Cache += keys.Bytes(o.Context) + values.Bytes(o.Context)
	}
	e.Activations += 4 * int64(o.Batch) * kv
	e.Activations += 4 * int64(min(o.Batch, logitRows)) * int64(m.Vocabulary())
	return e
}
