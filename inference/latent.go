package inference

import "github.com/carat-hub/carat/inference/kernel"

// latentBuffers is the memory of multi-head latent attention.
type latentBuffers struct {
	query   []float32 // {batch, QueryRank}
	queries []float32 // {batch, Heads, Plain+Rotated}
	down    []float32 // {batch, Rank+Rotated}
	in, out []float32 // {batch, …} of one head
}

func newLatentBuffers(d *Description, batch int) *latentBuffers {
	l := d.Latent
	widest := max(l.Plain, l.Rank, l.Value)
	return &latentBuffers{
		query:   make([]float32, batch*l.QueryRank),
		queries: make([]float32, batch*d.Heads*max(l.Plain+l.Rotated, l.Value)),
		down:    make([]float32, batch*(l.Rank+l.Rotated)),
		in:      make([]float32, batch*widest), out: make([]float32, batch*widest),
	}
}

// compress sets k and v to the compressed vectors of the n states in normed, and q to queries that are taken to the same space,
// so that all heads share one key and value head.
func (s *Session) compress(w *latent, rope *kernel.Rope, n int, k, v []float32) error {
	d, b := s.m.desc, s.latent
	l := d.Latent
	x := s.normed
	if l.QueryRank > 0 {
		if err := s.mul(w.queryDown, x, n, b.query); err != nil {
			return err
		}
		x = b.query[:n*l.QueryRank]
		s.norm(w.queryNorm, x, x, l.QueryRank)
	}
	if err := s.mul(w.queryUp, x, n, b.queries); err != nil {
		return err
	}
	if err := s.mul(w.down, s.normed, n, b.down); err != nil {
		return err
	}
	for i := range n {
		row := b.down[i*d.HeadDim : (i+1)*d.HeadDim]
		s.norm(w.norm, row[:l.Rank], row[:l.Rank], l.Rank)
		rope.Apply(row[l.Rank:], l.Rotated, i)
		copy(k[i*d.HeadDim:], row)
		copy(v[i*d.ValueDim:], row[:l.Rank])
	}
	size := l.Plain + l.Rotated
	for h := range d.Heads {
		for i := range n {
			copy(b.in[i*l.Plain:(i+1)*l.Plain], b.queries[(i*d.Heads+h)*size:])
		}
		if err := s.mul(w.key[h], b.in, n, b.out); err != nil {
			return err
		}
		for i := range n {
			q := s.q[(i*d.Heads+h)*d.HeadDim:][:d.HeadDim]
			copy(q, b.out[i*l.Rank:(i+1)*l.Rank])
			copy(q[l.Rank:], b.queries[(i*d.Heads+h)*size+l.Plain:][:l.Rotated])
			rope.Apply(q[l.Rank:], l.Rotated, i)
		}
	}
	return nil
}

// expand turns the compressed vectors in attended into the heads' values.
func (s *Session) expand(w *latent, n int) error {
	d, b := s.m.desc, s.latent
	l := d.Latent
	for h := range d.Heads {
		for i := range n {
			copy(b.in[i*l.Rank:(i+1)*l.Rank], s.attended[(i*d.Heads+h)*l.Rank:])
		}
		if err := s.mul(w.value[h], b.in, n, b.out); err != nil {
			return err
		}
		for i := range n {
			copy(b.queries[(i*d.Heads+h)*l.Value:][:l.Value], b.out[i*l.Value:])
		}
	}
	copy(s.attended, b.queries[:n*d.Heads*l.Value])
	return nil
}
