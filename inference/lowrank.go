package inference

import (
	"strings"

	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/packed"
)

// lowRank is what an adapter adds to a matrix: up of down of the input. up has the adapter's factor as its scale.
type lowRank struct{ down, up *kernel.Matrix }

// lowRanks is the memory of adapters.
type lowRanks struct{ low, added []float32 }

// addAdapters adds to y what adapters make of the n vectors in x.
func (s *Session) addAdapters(adapters []lowRank, x []float32, n int, y []float32) error {
	for _, a := range adapters {
		low := s.adapted.rows(&s.adapted.low, n*a.down.Rows)
		if err := s.product.Mul(a.down, nil, x, n, low); err != nil {
			return err
		}
		if err := s.raise(a.up, low, n, y); err != nil {
			return err
		}
	}
	return nil
}

// raise adds to y the products of up and the n vectors in low.
func (s *Session) raise(up *kernel.Matrix, low []float32, n int, y []float32) error {
	added := s.adapted.rows(&s.adapted.added, n*up.Rows)
	if err := s.product.Mul(up, nil, low, n, added); err != nil {
		return err
	}
	kernel.Add(y[:len(added)], added)
	return nil
}

func (r *lowRanks) rows(b *[]float32, n int) []float32 {
	if len(*b) < n {
		*b = make([]float32, n)
	}
	return (*b)[:n]
}

// adaptEmbeddings adds to x, the embeddings of ids, what adapters do.
func (s *Session) adaptEmbeddings(x []float32, ids []int) error {
	for _, a := range s.m.weights.embeddingAdapters {
		rank := a.down.Cols
		low := s.adapted.rows(&s.adapted.low, len(ids)*rank)
		for i, id := range ids {
			if err := a.down.Row(id, low[i*rank:(i+1)*rank]); err != nil {
				return err
			}
		}
		if err := s.raise(a.up, low, len(ids), x); err != nil {
			return err
		}
	}
	return nil
}

// pair returns what an adapter has for the matrix of that name, nil when there is nothing.
func (b *binder) pair(a *adapter, name string) *adapterPair {
	p := a.pairs[name]
	if p == nil && b.names.prefix != "" {
		p = a.pairs[strings.TrimPrefix(name, b.names.prefix)]
	}
	if p != nil {
		p.used = true
	}
	return p
}

// adapt gives ls, which are runs of the rows of the matrix name, what adapters add to them. A stack of matrices of the same name has
// a stack of pairs.
func (b *binder) adapt(name string, ls []linear, cols int) error {
	if name == b.names.embedding {
		return nil
	}
	for _, a := range b.adapters {
		p := b.pair(a, name)
		if p == nil {
			continue
		}
		total, rank := 0, p.up.shape[len(p.up.shape)-1]
		for _, l := range ls {
			total += l.Rows
		}
		stacked := len(p.up.shape) == 3 && p.up.shape[0] == len(ls)
		down, up := []int{rank, cols}, []int{total, rank}
		if stacked {
			down, up = []int{len(ls), rank, cols}, []int{len(ls), total / len(ls), rank}
		}
		if err := p.shaped(name, down, up); err != nil {
			return err
		}
		first := 0
		for i := range ls {
			at := 0
			if stacked {
				at = i * rank
			}
			one, err := a.lowRank(p, at, rank, cols, first, ls[i].Rows)
			if err != nil {
				return err
			}
			ls[i].adapters = append(ls[i].adapters, one)
			first += ls[i].Rows
			b.adapterRank, b.adapterRows = max(b.adapterRank, rank), max(b.adapterRows, ls[i].Rows)
		}
	}
	return nil
}

// shaped checks the shapes of a pair.
func (p *adapterPair) shaped(name string, down, up []int) error {
	for _, c := range []struct {
		t    *storedTensor
		want []int
	}{{p.down, down}, {p.up, up}} {
		same := len(c.t.shape) == len(c.want) && !p.embedding
		for i := 0; same && i < len(c.want); i++ {
			same = c.t.shape[i] == c.want[i]
		}
		if !same {
			return adapterError(name, "matrix %s has shape %v, the model wants %v", c.t.name, c.t.shape, c.want)
		}
	}
	return nil
}

// lowRank describes n rows of the pair's up matrix from first on, and its down matrix from row at on.
func (a *adapter) lowRank(p *adapterPair, at, rank, cols, first, n int) (r lowRank, err error) {
	if r.down, err = a.c.matrix(p.down, at, rank, cols); err != nil {
		return r, err
	}
	if r.up, err = a.c.matrix(p.up, first, n, rank); err != nil {
		return r, err
	}
	r.up.Scale = float32(p.scale)
	return r, nil
}

// adaptEmbedding binds what adapters add to embeddings.
func (b *binder) adaptEmbedding(w *weights) error {
	for _, a := range b.adapters {
		p := b.pair(a, b.names.embedding)
		if p == nil {
			continue
		}
		rank := p.up.shape[len(p.up.shape)-1]
		down, up := []int{rank, w.embedding.Rows}, []int{w.embedding.Rows, b.d.Hidden}
		up[0], up[1] = b.d.Hidden, rank
		if a.c.gguf != nil {
			down[0], down[1] = down[1], down[0]
		} else if !p.embedding {
			return adapterError(b.names.embedding, "matrix %s is not of an embedding", p.down.name)
		}
		plain := adapterPair{down: p.down, up: p.up}
		if err := plain.shaped(b.names.embedding, down, up); err != nil {
			return err
		}
		b.adapterRank, b.adapterRows = max(b.adapterRank, rank), max(b.adapterRows, b.d.Hidden)
		if b.dry {
			continue
		}
		one := lowRank{}
		t := p.down
		if a.c.gguf == nil {
			// A token's column becomes a row.
			data, err := a.c.data(t, false)
			if err != nil {
				return err
			}
			m, err := packed.Transposed(packed.Tensor{Name: t.name, Type: t.typ, Shape: t.shape, Data: data})
			if err != nil {
				return err
			}
			t = unpackedTensor(t.name, m)
		}
		var err error
		if one.down, err = a.c.matrix(t, 0, w.embedding.Rows, rank); err != nil {
			return err
		}
		if one.up, err = a.c.matrix(p.up, 0, b.d.Hidden, rank); err != nil {
			return err
		}
		one.up.Scale = float32(p.scale)
		w.embeddingAdapters = append(w.embeddingAdapters, one)
	}
	return nil
}

// unadapted returns an error for a module of an adapter that the model does not have.
func (b *binder) unadapted() error {
	for _, a := range b.adapters {
		for _, name := range sortedKeys(a.pairs) {
			if !a.pairs[name].used && !b.needless(name) {
				return adapterError(name, "the model has no such matrix that can be adapted")
			}
		}
	}
	return nil
}

// rows reads a matrix into memory.
func rows(m *kernel.Matrix) ([]float32, error) {
	v := make([]float32, m.Rows*m.Cols)
	for r := range m.Rows {
		if err := m.Row(r, v[r*m.Cols:(r+1)*m.Cols]); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// turned returns a pair for the matrix turned over: where this one adds up of down of x to Wx, it adds the transposed down of the
// transposed up to the products with the transposed W.
func (r lowRank) turned() (t lowRank, err error) {
	down, err := rows(r.down)
	if err != nil {
		return t, err
	}
	up, err := rows(r.up)
	if err != nil {
		return t, err
	}
	if t.down, err = inMemory(transpose(up, r.up.Rows, r.up.Cols), r.up.Cols, r.up.Rows); err != nil {
		return t, err
	}
	if t.up, err = inMemory(transpose(down, r.down.Rows, r.down.Cols), r.down.Cols, r.down.Rows); err != nil {
		return t, err
	}
	t.up.Scale = r.up.Scale
	return t, nil
}

// dealt deals the rows of up to the parts that to says they belong to.
func (r lowRank) dealt(parts int, to func(row int) int) ([]lowRank, error) {
	up, err := rows(r.up)
	if err != nil {
		return nil, err
	}
	values := make([][]float32, parts)
	for i := range r.up.Rows {
		values[to(i)] = append(values[to(i)], up[i*r.up.Cols:(i+1)*r.up.Cols]...)
	}
	out := make([]lowRank, parts)
	for i, v := range values {
		m, err := inMemory(v, len(v)/r.up.Cols, r.up.Cols)
		if err != nil {
			return nil, err
		}
		m.Scale = r.up.Scale
		out[i] = lowRank{r.down, m}
	}
	return out, nil
}
