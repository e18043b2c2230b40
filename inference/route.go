package inference

import (
	"math"

	"github.com/carat-hub/carat/inference/kernel"
)

// routing is the memory for sending the tokens of a batch to experts.
type routing struct {
	scores  []float32 // {batch, experts}
	weights []float32 // {batch, experts}: 0 for experts that are not used
	ranked  []float32 // of one token
	groups  []float32 // of one token
	rows    []int     // the tokens of one expert
	in, out []float32 // {batch, hidden} of one expert
}

func newRouting(d *Description, batch int) *routing {
	e := d.Experts
	return &routing{
		scores: make([]float32, batch*e.Count), weights: make([]float32, batch*e.Count), ranked: make([]float32, e.Count),
		groups: make([]float32, e.Groups), rows: make([]int, 0, batch),
		in: make([]float32, batch*d.Hidden), out: make([]float32, batch*d.Hidden),
	}
}

// route sets fed to what the experts make of the n states in normed. Each token's experts are added in their order, so that
// the result does not depend on the batch.
func (s *Session) route(w *experts, n int) error {
	d, r := s.m.desc, s.routing
	h, count := d.Hidden, d.Experts.Count
	if err := s.mul(w.router, s.normed, n, r.scores); err != nil {
		return err
	}
	for i := range n {
		r.choose(d.Experts, w.selection, r.scores[i*count:(i+1)*count], r.weights[i*count:(i+1)*count])
	}
	clear(s.fed[:n*h])
	for e := range w.each {
		r.rows = r.rows[:0]
		for i := range n {
			if r.weights[i*count+e] != 0 {
				to := r.in[len(r.rows)*h:][:h]
				if copy(to, s.normed[i*h:(i+1)*h]); d.Experts.WeighedInput {
					kernel.Scale(to, r.weights[i*count+e])
				}
				r.rows = append(r.rows, i)
			}
		}
		if len(r.rows) == 0 {
			continue
		}
		if err := s.feed(&w.each[e], r.in, len(r.rows), r.out); err != nil {
			return err
		}
		for j, i := range r.rows {
			weight := r.weights[i*count+e]
			if d.Experts.WeighedInput {
				weight = 1
			}
			accumulate(s.fed[i*h:(i+1)*h], r.out[j*h:(j+1)*h], weight)
		}
	}
	if w.shared == nil {
		return nil
	}
	if err := s.feed(w.shared, s.normed, n, r.out); err != nil {
		return err
	}
	if w.sharedRouter == nil {
		kernel.Add(s.fed[:n*h], r.out)
		return nil
	}
	gates := r.scores[:n]
	if err := s.product.Mul(w.sharedRouter, nil, s.normed, n, gates); err != nil {
		return err
	}
	kernel.Sigmoid(gates)
	for i, g := range gates {
		accumulate(s.fed[i*h:(i+1)*h], r.out[i*h:(i+1)*h], g)
	}
	return nil
}

func accumulate(to, x []float32, weight float32) {
	for i, v := range x {
		to[i] += weight * v
	}
}

// choose turns one token's router logits into the weights of its experts.
func (r *routing) choose(e *ExpertDescription, selection, scores, weights []float32) {
	if e.Jitter > 0 {
		r.mix(e, scores, weights)
		return
	}
	if copy(r.ranked, scores); e.Sigmoid {
		kernel.Sigmoid(scores)
	} else {
		kernel.Softmax(scores)
	}
	if !e.WeighedInput {
		copy(r.ranked, scores)
	}
	if selection != nil {
		kernel.Add(r.ranked, selection)
	}
	if e.Groups > 0 {
		r.keepGroups(e)
	}
	clear(weights)
	sum := float32(0)
	for range e.Used {
		best := Argmax(r.ranked)
		if best < 0 {
			break // all are NaN
		}
		r.ranked[best] = float32(math.Inf(-1))
		weights[best] = scores[best]
		sum += scores[best]
	}
	scale := e.Scale
	if e.Normalised {
		// The bound keeps scores that are all next to nothing from becoming something.
		scale /= max(sum, 1.0/(1<<14))
	}
	kernel.Scale(weights, scale)
}

// mix chooses experts one after another by SparseMixer (Liu et al. 2023), as it is when nothing is trained: the weight of a choice
// is its share in a softmax over those experts not yet chosen whose logits lie within twice the jitter of the largest, in parts of
// the larger of that and their own magnitude.
func (r *routing) mix(e *ExpertDescription, logits, weights []float32) {
	lowest := float32(math.Inf(-1))
	clear(weights)
	copy(r.ranked, logits)
	for range e.Used {
		best := Argmax(r.ranked)
		if best < 0 {
			return // all are NaN, or chosen
		}
		top, sum := r.ranked[best], 0.0
		for i, v := range r.ranked {
			far := float64(top-logits[i]) / math.Max(math.Abs(float64(logits[i])), float64(top))
			if v != lowest && !(far > 2*e.Jitter) {
				sum += math.Exp(float64(v - top))
			}
		}
		weights[best], r.ranked[best] = float32(1/sum), lowest
	}
}

// keepGroups bars the experts of all but the best groups.
func (r *routing) keepGroups(e *ExpertDescription) {
	size := e.Count / e.Groups
	lowest := float32(math.Inf(-1))
	for g := range r.groups {
		first, second := lowest, lowest
		for _, v := range r.ranked[g*size : (g+1)*size] {
			if v > first {
				first, second = v, first
			} else {
				second = max(second, v)
			}
		}
		r.groups[g] = first
		if e.GroupBySum && size > 1 {
			r.groups[g] += second
		}
	}
	for range e.UsedGroups {
		best := Argmax(r.groups)
		if best < 0 {
			break
		}
		r.groups[best] = lowest
	}
	for g, rank := range r.groups {
		if rank == lowest {
			continue
		}
		for i := range size {
			r.ranked[g*size+i] = lowest
		}
	}
}
