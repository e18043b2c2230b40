package inference

import (
	"context"
	"fmt"
	"math"
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
	// Cache is how keys and values are stored; the default is CacheF32.
	Cache CacheType
}

// Session holds one sequence of tokens with its keys and values. Its methods are for one goroutine at a time.
type Session struct {
	m       *Model
	context int
	batch   int
	n       int // positions held

	pool      *kernel.Pool
	product   *kernel.Product
	terms     []kernel.Term // of one call of mulAll
	activator *kernel.Activator
	attention *kernel.Attention
	rope      kernel.Rope
	local     *kernel.Rope    // of windowed layers, when it differs
	keys      []*kernel.Cache // of each layer
	values    []*kernel.Cache
	k, v      []float32 // those of a batch: {batch, KVHeads*HeadDim} and {batch, KVHeads*ValueDim}

	x, normed, q, attended, projected, fed, gate, up []float32 // {batch, …}
	routing                                          *routing  // nil without experts
	latent                                           *latentBuffers
	logits                                           []float32 // {logitRows, vocabulary}
	adapted                                          lowRanks
}

// logitRows is how many positions go through the output layer at once; its rows are as wide as the vocabulary.
const logitRows = 8

// batchMemory bounds what a batch's activations take, in float32 values.
const batchMemory = 32 << 20

// sessionOptions replaces zero values by the defaults, and what the model cannot do by what it can.
func (m *Model) sessionOptions(o SessionOptions) SessionOptions {
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
	o.Context = min(o.Context, m.maxContext())
	o.Batch = max(1, min(o.Batch, o.Context, batchMemory/d.width()))
	o.Threads = min(o.Threads, 1024)
	return o
}

// NewSession returns an empty session; Close frees its threads.
func (m *Model) NewSession(o SessionOptions) *Session {
	o, d := m.sessionOptions(o), m.desc
	s := &Session{m: m, context: o.Context, batch: o.Batch, pool: kernel.NewPool(o.Threads)}
	s.product, s.activator = kernel.NewProduct(s.pool), kernel.NewActivator(s.pool, d.Activation)
	attention := kernel.Attention{
		Heads: d.Heads, KVHeads: d.KVHeads, HeadDim: d.HeadDim, ValueDim: d.ValueDim, Scale: d.AttentionScale, Cap: d.AttentionCap,
	}
	attention.Bidirectional, attention.Bias = d.Bidirectional, m.weights.relative
	if d.AlibiBias > 0 {
		attention.Slopes = kernel.AlibiSlopes(d.Heads, d.AlibiBias)
	}
	s.attention = kernel.NewAttention(s.pool, attention, o.Context)
	s.rope = d.Rope.kernel(o.Context)
	if d.LocalRope != nil {
		local := d.LocalRope.kernel(o.Context)
		s.local = &local
	}
	for _, b := range []struct {
		to    *[]float32
		width int
	}{
		{&s.x, d.Hidden},
		{&s.normed, d.Hidden},
		{&s.projected, d.Hidden},
		{&s.fed, d.Hidden},
		{&s.q, d.Heads * d.HeadDim},
		{&s.attended, d.Heads * d.valueWidth()},
		{&s.gate, d.feedWidth()},
		{&s.up, d.feedWidth()},
	} {
		*b.to = make([]float32, s.batch*b.width)
	}
	if d.Experts != nil {
		s.routing = newRouting(d, s.batch)
	}
	if d.Latent != nil {
		s.latent = newLatentBuffers(d, s.batch)
	}
	if !m.encodes() {
		for l := range d.Layers {
			k, v := d.caches(l, o.Cache)
			s.keys, s.values = append(s.keys, k), append(s.values, v)
		}
		s.k, s.v = make([]float32, s.batch*d.KVHeads*d.HeadDim), make([]float32, s.batch*d.KVHeads*d.ValueDim)
	}
	if m.weights.output.Matrix != nil {
		s.logits = make([]float32, min(s.batch, logitRows)*m.Vocabulary())
	}
	return s
}

// encodes says whether the model turns whole texts into states and predicts no next token.
func (m *Model) encodes() bool { return m.weights.output.Matrix == nil || m.desc.Bidirectional }

// maxContext is the longest sequence that can be computed: learned positions end, others do not.
func (m *Model) maxContext() int {
	if m.weights.positions != nil {
		return m.weights.positions.Rows - m.desc.PositionOffset
	}
	return math.MaxInt
}

// feedWidth is the width of the widest feed-forward layer.
func (d *Description) feedWidth() int {
	if d.Experts != nil {
		return max(d.FeedForward, d.Experts.FeedForward, d.Experts.Shared)
	}
	return d.FeedForward
}

// valueWidth is the width of the wider of what attention gives for a head and what is made of it.
func (d *Description) valueWidth() int {
	if d.Latent != nil {
		return max(d.ValueDim, d.Latent.Value)
	}
	return d.ValueDim
}

// width is how many values of activations there are for each position of a batch.
func (d *Description) width() int {
	width := 4*d.Hidden + 2*d.feedWidth() + d.Heads*(d.HeadDim+d.valueWidth())
	if d.Experts != nil {
		width += 2*d.Hidden + d.Experts.Count
	}
	if l := d.Latent; l != nil {
		width += l.QueryRank + l.Rank + l.Rotated + d.Heads*(l.Plain+l.Rotated+l.Value) + 2*max(l.Plain, l.Rank, l.Value)
	}
	return width
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
// vocabulary entry, valid until the next call. It returns ctx's error soon after ctx ends, ErrClosed after Model.Close, an
// *UnsupportedError for a model that predicts no next token, such as an encoder, and an error for no ids, an id outside the
// vocabulary or a sequence longer than the context; the sequence then stays as it was.
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
	if err := s.m.predicts(); err != nil {
		return err
	}
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
