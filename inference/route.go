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
				copy(r.in[len(r.rows)*h:], s.normed[i*h:(i+1)*h])
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
			accumulate(s.fed[i*h:(i+1)*h], r.out[j*h:(j+1)*h], r.weights[i*count+e])
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
	if e.Sigmoid {
		kernel.Sigmoid(scores)
	} else {
		kernel.Softmax(scores)
	}
	copy(r.ranked, scores)
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
