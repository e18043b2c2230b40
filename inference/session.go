package inference

import (
	"context"
	"fmt"
	"runtime"

	"github.com/carat-hub/carat/inference/kernel"
)

// SessionOptions are the choices for a session; zero values take the defaults.
type SessionOptions struct {
	// Threads is the number of threads that compute; the default is GOMAXPROCS. Results do not depend on it.
	Threads int
	// Context is the longest sequence the session can hold; the default is the model's, and not more than 4096.
	Context int
	// Batch is how many positions are computed at once; the default is 128, less for very wide models.
	Batch int
}

// Session holds one sequence of tokens with its keys and values. Its methods are for one goroutine at a time.
type Session struct {
	m       *Model
	context int
	batch   int
	n       int // positions held

	pool      *kernel.Pool
	product   *kernel.Product
	attention *kernel.Attention
	rope      kernel.Rope
	keys      [][]float32 // of each layer: {positions, KVHeads*HeadDim}
	values    [][]float32

	x, normed, q, attended, projected, gate, up []float32 // {batch, …}
	logits                                      []float32 // {logitRows, vocabulary}
}

// logitRows is how many positions go through the output layer at once; its rows are as wide as the vocabulary.
const logitRows = 8

// batchMemory bounds what a batch's activations take, in float32 values.
const batchMemory = 32 << 20

// NewSession returns an empty session; Close frees its threads.
func (m *Model) NewSession(o SessionOptions) *Session {
	d := m.desc
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Context <= 0 {
		o.Context = min(d.Context, 4096)
	}
	if o.Batch <= 0 {
		o.Batch = 128
	}
	width := 3*d.Hidden + 2*d.FeedForward + 2*d.Heads*d.HeadDim
	o.Batch = max(1, min(o.Batch, o.Context, batchMemory/width))
	s := &Session{m: m, context: o.Context, batch: o.Batch, pool: kernel.NewPool(min(o.Threads, 1024))}
	s.product = kernel.NewProduct(s.pool)
	s.attention = kernel.NewAttention(s.pool, kernel.Attention{
		Heads: d.Heads, KVHeads: d.KVHeads, HeadDim: d.HeadDim, Scale: d.AttentionScale, Window: d.Window,
	}, o.Context)
	s.rope = kernel.Rope{Adjacent: d.RopeAdjacent, Frequencies: d.RopeFrequencies}
	s.keys, s.values = make([][]float32, d.Layers), make([][]float32, d.Layers)
	for _, b := range []struct {
		to    *[]float32
		width int
	}{
		{&s.x, d.Hidden},
		{&s.normed, d.Hidden},
		{&s.projected, d.Hidden},
		{&s.q, d.Heads * d.HeadDim},
		{&s.attended, d.Heads * d.HeadDim},
		{&s.gate, d.FeedForward},
		{&s.up, d.FeedForward},
	} {
		*b.to = make([]float32, s.batch*b.width)
	}
	s.logits = make([]float32, min(s.batch, logitRows)*m.Vocabulary())
	return s
}

// Close ends the session's threads. The session cannot be used afterwards.
func (s *Session) Close() { s.pool.Close() }

// Len returns the number of positions held.
func (s *Session) Len() int { return s.n }

// Context returns how many positions the session can hold.
func (s *Session) Context() int { return s.context }

// Truncate forgets all positions from n on. It does nothing when there are not more than n.
func (s *Session) Truncate(n int) { s.n = max(0, min(s.n, n)) }

// Eval appends ids to the sequence and returns the logits of the last one: what the model expects to follow, one value per
// vocabulary entry, valid until the next call. It returns ctx's error soon after ctx ends, ErrClosed after Model.Close, and an
// error for no ids, an id outside the vocabulary or a sequence longer than the context; the sequence then stays as it was.
func (s *Session) Eval(ctx context.Context, ids []int) ([]float32, error) {
	var last []float32
	err := s.EvalEach(ctx, ids, len(ids)-1, func(_ int, logits []float32) error {
		last = logits
		return nil
	})
	return last, err
}

// EvalEach appends ids to the sequence and calls each with the logits of every position from ids[from] on. i counts in ids; the
// logits are valid until each returns. Errors are those of Eval and of each, after which the sequence stays as it was.
func (s *Session) EvalEach(ctx context.Context, ids []int, from int, each func(i int, logits []float32) error) (err error) {
	if len(ids) == 0 || from < 0 {
		return fmt.Errorf("evaluate %d tokens from %d on", len(ids), from)
	}
	if len(ids) > s.context-s.n {
		return fmt.Errorf("evaluate %d tokens after %d: the context holds %d", len(ids), s.n, s.context)
	}
	for _, id := range ids {
		if id < 0 || id >= s.m.weights.embedding.Rows {
			return fmt.Errorf("token %d is outside the vocabulary of %d", id, s.m.weights.embedding.Rows)
		}
	}
	s.m.mu.RLock()
	defer s.m.mu.RUnlock()
	if s.m.done {
		return ErrClosed
	}
	start := s.n
	defer func() {
		if err != nil {
			s.n = start
		}
	}()
	for done := 0; done < len(ids); {
		n := min(s.batch, len(ids)-done)
		if err := s.forward(ctx, ids[done:done+n]); err != nil {
			return err
		}
		for i := max(from-done, 0); i < n; i += logitRows {
			rows := min(logitRows, n-i)
			if err := s.head(ctx, i, rows); err != nil {
				return err
			}
			vocab := s.m.Vocabulary()
			for r := range rows {
				if err := each(done+i+r, s.logits[r*vocab:(r+1)*vocab:(r+1)*vocab]); err != nil {
					return err
				}
			}
		}
		done += n
	}
	return nil
}

// grow makes room for n more positions in the cache of layer l and returns the slots of the new ones.
func (s *Session) grow(l, n int) (k, v []float32) {
	width := s.m.desc.KVHeads * s.m.desc.HeadDim
	need := (s.n + n) * width
	for _, cache := range []*[]float32{&s.keys[l], &s.values[l]} {
		if len(*cache) < need {
			positions := min(s.context, max(2*(s.n+n), 64))
			bigger := make([]float32, positions*width)
			copy(bigger, (*cache)[:min(len(*cache), s.n*width)])
			*cache = bigger
		}
	}
	return s.keys[l][s.n*width : need], s.values[l][s.n*width : need]
}

// forward runs the layers over ids, at most a batch, and leaves their final states in x.
func (s *Session) forward(ctx context.Context, ids []int) error {
	d, w, n := s.m.desc, s.m.weights, len(ids)
	for i, id := range ids {
		if err := w.embedding.Row(id, s.x[i*d.Hidden:(i+1)*d.Hidden]); err != nil {
			return err
		}
	}
	s.rope.Prepare(s.n, n)
	for l := range w.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.attend(l, n); err != nil {
			return err
		}
		if err := s.feed(&w.layers[l], n); err != nil {
			return err
		}
	}
	s.n += n
	return nil
}

func (s *Session) attend(l, n int) error {
	d, w := s.m.desc, &s.m.weights.layers[l]
	k, v := s.grow(l, n)
	s.norm(w.attentionNorm, n)
	if err := s.mul(w.q, s.normed, n, s.q); err != nil {
		return err
	}
	if err := s.mul(w.k, s.normed, n, k); err != nil {
		return err
	}
	if err := s.mul(w.v, s.normed, n, v); err != nil {
		return err
	}
	qWidth, kvWidth := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim
	for i := range n {
		s.rope.Apply(s.q[i*qWidth:(i+1)*qWidth], d.HeadDim, i)
		s.rope.Apply(k[i*kvWidth:(i+1)*kvWidth], d.HeadDim, i)
	}
	if err := s.attention.Run(s.q, s.keys[l], s.values[l], s.attended, s.n, n); err != nil {
		return err
	}
	if err := s.mul(w.o, s.attended, n, s.projected); err != nil {
		return err
	}
	kernel.Add(s.x[:n*d.Hidden], s.projected)
	return nil
}

func (s *Session) feed(w *layer, n int) error {
	d := s.m.desc
	s.norm(w.feedForwardNorm, n)
	if err := s.mul(w.gate, s.normed, n, s.gate); err != nil {
		return err
	}
	if err := s.mul(w.up, s.normed, n, s.up); err != nil {
		return err
	}
	kernel.SwiGLU(s.gate[:n*d.FeedForward], s.up)
	if err := s.mul(w.down, s.gate, n, s.projected); err != nil {
		return err
	}
	kernel.Add(s.x[:n*d.Hidden], s.projected)
	return nil
}

// head computes the logits of rows positions from the i-th of the batch on.
func (s *Session) head(ctx context.Context, i, rows int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, w := s.m.desc, s.m.weights
	for r := range rows {
		x := s.x[(i+r)*d.Hidden : (i+r+1)*d.Hidden]
		kernel.RMSNorm(s.normed[r*d.Hidden:(r+1)*d.Hidden], x, w.norm, d.NormEpsilon)
	}
	return s.mul(w.output, s.normed, rows, s.logits)
}

func (s *Session) norm(weight []float32, n int) {
	h := s.m.desc.Hidden
	for i := range n {
		kernel.RMSNorm(s.normed[i*h:(i+1)*h], s.x[i*h:(i+1)*h], weight, s.m.desc.NormEpsilon)
	}
}

func (s *Session) mul(w linear, x []float32, n int, y []float32) error {
	return s.product.Mul(w.Matrix, w.bias, x, n, y)
}
