package kernel

import "fmt"

// Attention computes causal attention with grouped key and value heads on a pool. It keeps its scratch memory between calls
// and belongs to one goroutine.
type Attention struct {
	// Heads query heads share KVHeads key and value heads, each of HeadDim elements.
	Heads, KVHeads, HeadDim int
	// Scale multiplies the scores before the softmax.
	Scale float32
	// Window is how many positions a query sees, itself included; 0 means all before it.
	Window int

	pool    *Pool
	engine  engine
	scores  [][]float32 // of each worker
	scratch []scratch   // of each worker

	q, k, v, out []float32
	first, n     int
}

// NewAttention returns an Attention for sequences of up to context positions that runs on p.
func NewAttention(p *Pool, a Attention, context int) *Attention {
	a.pool, a.engine = p, best
	a.scratch = make([]scratch, p.Threads())
	a.scores = make([][]float32, p.Threads())
	for i := range a.scores {
		a.scores[i] = make([]float32, context)
	}
	return &a
}

// Run sets out to the attention of n queries at the positions first to first+n-1. q and out are {n, Heads*HeadDim}; k and v
// hold the positions 0 to first+n-1 as {positions, KVHeads*HeadDim}.
func (a *Attention) Run(q, k, v, out []float32, first, n int) error {
	width, kvWidth, end := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim, first+n
	if len(q) < n*width || len(out) < n*width || len(k) < end*kvWidth || len(v) < end*kvWidth || end > len(a.scores[0]) {
		return fmt.Errorf("attention over %d positions does not fit its buffers", end)
	}
	a.q, a.k, a.v, a.out, a.first, a.n = q, k, v, out, first, n
	return a.pool.Run(a, n*a.Heads)
}

// Do computes the pairs lo to hi-1 of query and head; it is there for the pool.
func (a *Attention) Do(worker, lo, hi int) error {
	d, kvWidth := a.HeadDim, a.KVHeads*a.HeadDim
	for pair := lo; pair < hi; pair++ {
		i, head := pair/a.Heads, pair%a.Heads
		position := a.first + i
		from := 0
		if a.Window > 0 {
			from = max(0, position-a.Window+1)
		}
		q := a.q[pair*d : (pair+1)*d]
		kv := head / (a.Heads / a.KVHeads) * d
		scores := a.scores[worker][:position-from+1]
		a.engine.scores(q, a.k[from*kvWidth+kv:], kvWidth, scores, &a.scratch[worker])
		for j := range scores {
			scores[j] *= a.Scale
		}
		a.engine.softmax(scores)
		a.engine.mix(scores, a.v[from*kvWidth+kv:], kvWidth, a.out[pair*d:(pair+1)*d])
	}
	return nil
}
