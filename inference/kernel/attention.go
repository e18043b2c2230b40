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
	scores  [][]float32 // of each worker
	scratch []scratch   // of each worker

	q, k, v, out  []float32
	first, n, end int
}

// NewAttention returns an Attention for sequences of up to context positions that runs on p.
func NewAttention(p *Pool, a Attention, context int) *Attention {
	a.pool, a.engine = p, best
	if a.ValueDim == 0 {
		a.ValueDim = a.HeadDim
	}
	a.scratch = make([]scratch, p.Threads())
	a.scores = make([][]float32, p.Threads())
	for i := range a.scores {
		a.scores[i] = make([]float32, context)
	}
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
		len(v) < end*a.KVHeads*a.ValueDim || end > len(a.scores[0]) {
		return fmt.Errorf("attention over %d positions does not fit its buffers", end)
	}
	a.q, a.k, a.v, a.out, a.first, a.n, a.end = q, k, v, out, first, n, end
	return a.pool.Run(a, n*a.Heads)
}

// Do computes the pairs lo to hi-1 of query and head; it is there for the pool.
func (a *Attention) Do(worker, lo, hi int) error {
	d, dv := a.HeadDim, a.ValueDim
	for pair := lo; pair < hi; pair++ {
		i, head := pair/a.Heads, pair%a.Heads
		position := a.first + i
		from, to := a.sees(position)
		q := a.q[pair*d : (pair+1)*d]
		kv := head / (a.Heads / a.KVHeads)
		scores := a.scores[worker][:to-from]
		at, stride := (from*a.KVHeads+kv)*d, a.KVHeads*d
		a.engine.scores(q, a.k[at:], stride, scores, &a.scratch[worker])
		for j := range scores {
			scores[j] *= a.Scale
		}
		a.adjust(scores, head, position-from)
		at, stride = (from*a.KVHeads+kv)*dv, a.KVHeads*dv
		a.engine.mix(scores, a.v[at:], stride, a.out[pair*dv:(pair+1)*dv])
	}
	return nil
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
