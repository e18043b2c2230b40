package kernel

import (
	"fmt"
	"math"
	"slices"
)

// Attention computes attention, causal unless it is Bidirectional, with grouped key and value heads on a pool. It keeps its
// scratch memory between calls and belongs to one goroutine.
type Attention struct {
	// Heads query heads share KVHeads key and value heads, each of HeadDim elements.
	Heads, KVHeads, HeadDim int
	// Scale multiplies the scores before the softmax.
	Scale float32
	// ValueDim is the number of elements of a value head; 0 means HeadDim.
	ValueDim int
	// Bidirectional lets queries see the positions after theirs.
	Bidirectional bool
	// Window is how many positions a query sees, itself included, or with Bidirectional those up to Window/2 away on either
	// side; 0 means all. It may change between runs.
	Window int
	// Chunk, when not 0, takes the place of Window: a query sees the positions of its own chunk of so many, up to its own. It may
	// change between runs.
	Chunk int
	// Cap bounds the scores by Cap*tanh(score/Cap); 0 leaves them.
	Cap float32
	// Slopes is what the scores of each head lose per position of distance (ALiBi); nil means nothing.
	Slopes []float32
	// Bias, {Heads, 2*reach+1}, is what the scores of each head gain by the distance of the key from the query, from -reach to
	// reach, beyond which the ends count; nil means nothing.
	Bias []float32
	// Sinks is a score of each head that takes part in the softmax and has no value; nil means none. It may change between runs.
	Sinks []float32

	pool    *Pool
	engine  engine
	context int
	scores  [][]float32 // of each worker
	scratch []scratch   // of each worker

	q, out        []float32
	k, v          states
	first, n, end int
	block         int // how many queries are computed together
}

// NewAttention returns an Attention for sequences of up to context positions that runs on p.
func NewAttention(p *Pool, a Attention, context int) *Attention {
	a.pool, a.engine = p, best
	if a.ValueDim == 0 {
		a.ValueDim = a.HeadDim
	}
	a.scratch = make([]scratch, p.Threads())
	a.scores = make([][]float32, p.Threads())
	a.context = context
	return &a
}

// Run sets out to the attention of n queries at the positions first to first+n-1. q is {n, Heads*HeadDim} and out {n,
// Heads*ValueDim}; k and v hold the positions 0 to first+n-1 as {positions, KVHeads*HeadDim} and {positions, KVHeads*ValueDim},
// and with Bidirectional as many positions as k is long.
func (a *Attention) Run(q, k, v, out []float32, first, n int) error {
	end := first + n
	if a.Bidirectional {
		end = max(end, len(k)/(a.KVHeads*a.HeadDim))
	}
	if len(q) < n*a.Heads*a.HeadDim || len(out) < n*a.Heads*a.ValueDim || len(k) < end*a.KVHeads*a.HeadDim ||
		len(v) < end*a.KVHeads*a.ValueDim || end > a.context {
		return fmt.Errorf("attention over %d positions does not fit its buffers", end)
	}
	return a.run(q, flat{k, a.KVHeads, a.HeadDim}, flat{v, a.KVHeads, a.ValueDim}, out, first, n, end)
}

// RunCached is Run for keys and values of the positions 0 to first+n-1 in caches. Attention that is Bidirectional has none.
func (a *Attention) RunCached(q []float32, k, v *Cache, out []float32, first, n int) error {
	end := first + n
	if len(q) < n*a.Heads*a.HeadDim || len(out) < n*a.Heads*a.ValueDim || k.Positions() < end || v.Positions() < end ||
		k.heads != a.KVHeads || v.heads != a.KVHeads || k.dim != a.HeadDim || v.dim != a.ValueDim || end > a.context || a.Bidirectional {
		return fmt.Errorf("attention over %d positions does not fit its caches", end)
	}
	return a.run(q, k, v, out, first, n, end)
}

func (a *Attention) run(q []float32, k, v states, out []float32, first, n, end int) error {
	a.q, a.k, a.v, a.out, a.first, a.n, a.end = q, k, v, out, first, n, end
	if a.block = a.queries(); a.block == 1 {
		return a.pool.Run(a, n*a.Heads)
	}
	return a.pool.Run(a, (n+a.block-1)/a.block*a.KVHeads)
}

const (
	// blockVectors is how many queries of all heads that share a key are computed together, about.
	blockVectors = 96
	// blockScores bounds the scores of a block, so that they stay in the second-level cache.
	blockScores = 64 << 10
)

// queries returns how many positions' queries to compute together: one by one when there are few, which leaves more parts for the
// threads, and otherwise so many that each key is read once for a whole block of them.
func (a *Attention) queries() int {
	if a.n < 8 {
		return 1
	}
	share := a.Heads / a.KVHeads
	return max(2, min(a.n, blockVectors/share, blockScores/(a.end*share)))
}

// Do computes the pairs lo to hi-1 of query and head, or of block of queries and key head; it is there for the pool.
func (a *Attention) Do(worker, lo, hi int) error {
	for part := lo; part < hi; part++ {
		if a.block == 1 {
			a.single(worker, part)
		} else {
			a.together(worker, part)
		}
	}
	return nil
}

// single computes one query of one head.
func (a *Attention) single(worker, pair int) {
	d, dv := a.HeadDim, a.ValueDim
	i, head := pair/a.Heads, pair%a.Heads
	position := a.first + i
	from, to := a.sees(position)
	q := a.q[pair*d : (pair+1)*d]
	kv, s := head/(a.Heads/a.KVHeads), &a.scratch[worker]
	scores := grow(&a.scores[worker], a.context)[:to-from]
	for at := 0; at < len(scores); {
		k, stride, count := a.k.run(a.engine, kv, from+at, len(scores)-at, &s.states)
		a.engine.scores(q, k, stride, scores[at:at+count], s)
		at += count
	}
	Scale(scores, a.Scale)
	a.adjust(scores, head, position-from)
	out, mixed := a.out[pair*dv:(pair+1)*dv], grow(&s.mixed, dv)
	for at := 0; at < len(scores); {
		v, stride, count := a.v.run(a.engine, kv, from+at, len(scores)-at, &s.states)
		if at == 0 {
			a.engine.mix(scores[:count], v, stride, out)
		} else {
			a.engine.mix(scores[at:at+count], v, stride, mixed)
			Add(out, mixed)
		}
		at += count
	}
}

// together computes a block of queries of all heads that share a key head.
func (a *Attention) together(worker, part int) {
	d, dv, share := a.HeadDim, a.ValueDim, a.Heads/a.KVHeads
	kv, top := part%a.KVHeads, part/a.KVHeads*a.block
	n := min(a.block, a.n-top)
	from, _ := a.sees(a.first + top)
	_, to := a.sees(a.first + top + n - 1)
	span, s := to-from, &a.scratch[worker]
	queries, mixed := grow(&s.queries, n*share*d), grow(&s.mixed, n*share*dv)
	for i := range n {
		copy(queries[i*share*d:(i+1)*share*d], a.q[((top+i)*a.Heads+kv*share)*d:])
	}
	Scale(queries, a.Scale)
	scores := grow(&a.scores[worker], n*share*span)
	for at := 0; at < span; {
		k, stride, count := a.k.run(a.engine, kv, from+at, span-at, &s.states)
		a.engine.scoresOfAll(queries, d, k, stride, count, scores[at:], span, s)
		at += count
	}
	for i := range n {
		position := a.first + top + i
		first, end := a.sees(position)
		for h := range share {
			row := scores[(i*share+h)*span:][:span]
			clear(row[:first-from])
			a.adjust(row[first-from:end-from], kv*share+h, position-first)
			clear(row[end-from:])
		}
	}
	clear(mixed)
	for at := 0; at < span; {
		v, stride, count := a.v.run(a.engine, kv, from+at, span-at, &s.states)
		a.engine.mixAll(scores[at:], span, count, v, stride, dv, mixed, s)
		at += count
	}
	for i := range n {
		copy(a.out[((top+i)*a.Heads+kv*share)*dv:][:share*dv], mixed[i*share*dv:])
	}
}

// sees returns the range of positions that the query at position sees.
func (a *Attention) sees(position int) (from, to int) {
	switch {
	case a.Bidirectional && a.Window > 0:
		return max(0, position-a.Window/2), min(a.end, position+a.Window/2+1)
	case a.Bidirectional:
		return 0, a.end
	case a.Window > 0:
		return max(0, position-a.Window+1), position + 1
	case a.Chunk > 0:
		return position / a.Chunk * a.Chunk, position + 1
	}
	return 0, position + 1
}

// adjust turns the scores of one query, of which own is its own position's, into probabilities.
func (a *Attention) adjust(scores []float32, head, own int) {
	if a.Cap > 0 {
		SoftCap(scores, a.Cap)
	}
	if a.Slopes != nil {
		for j := range scores {
			scores[j] -= a.Slopes[head] * float32(max(own-j, j-own))
		}
	}
	if a.Bias != nil {
		width := len(a.Bias) / a.Heads
		bias, reach := a.Bias[head*width:(head+1)*width], width/2
		for j := range scores {
			scores[j] += bias[min(max(j-own, -reach), reach)+reach]
		}
	}
	if a.Sinks == nil {
		a.engine.softmax(scores)
		return
	}
	// With the sink's score s beside them, the probabilities shrink by 1 / (1 + exp(s - log(sum(exp(scores))))).
	largest, sum := float64(slices.Max(scores)), 0.0
	for _, v := range scores {
		sum += math.Exp(float64(v) - largest)
	}
	keep := float32(1 / (1 + math.Exp(float64(a.Sinks[head])-largest-math.Log(sum))))
	a.engine.softmax(scores)
	Scale(scores, keep)
}
