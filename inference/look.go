package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
)

// Embedding returns the vector of a token as the files hold it. It returns an error for a token outside the vocabulary, and
// ErrClosed after Close.
func (m *Model) Embedding(id int) ([]float32, error) {
	release, err := m.use()
	if err != nil {
		return nil, err
	}
	defer release()
	w := m.weights.embedding
	if id < 0 || id >= w.Rows {
		return nil, fmt.Errorf("token %d is outside the vocabulary of %d", id, w.Rows)
	}
	v := make([]float32, w.Cols)
	return v, w.Row(id, v)
}

// FeedForwardNorms returns, for each inner element of a layer's feed-forward layer, the Euclidean norm of what leads into it and of
// what leads out of it: rows of one matrix and columns of another. Both are nil for a layer of experts. It returns an error for a
// layer that does not exist, ctx's error, and ErrClosed after Close.
func (m *Model) FeedForwardNorms(ctx context.Context, layer int) (in, out []float64, err error) {
	release, err := m.use()
	if err != nil {
		return nil, nil, err
	}
	defer release()
	if layer < 0 || layer >= len(m.weights.layers) {
		return nil, nil, fmt.Errorf("layer %d of %d", layer, len(m.weights.layers))
	}
	l := &m.weights.layers[layer]
	if l.experts != nil {
		return nil, nil, nil
	}
	if in, err = rowSums(ctx, l.feed.up, false); err != nil {
		return nil, nil, err
	}
	if out, err = rowSums(ctx, l.feed.down, true); err != nil {
		return nil, nil, err
	}
	for _, sums := range [][]float64{in, out} {
		for i, s := range sums {
			sums[i] = math.Sqrt(s)
		}
	}
	return in, out, nil
}

// rowSums adds up the squares of each row of a matrix, or of each column. Its result does not depend on the number of processors.
func rowSums(ctx context.Context, w linear, columns bool) ([]float64, error) {
	const parts = 16
	errs, sums := make([]error, parts), make([][]float64, parts)
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for p := range parts {
		from, to := w.Rows*p/parts, w.Rows*(p+1)/parts
		n := to - from
		if columns {
			n = w.Cols
		}
		sums[p] = make([]float64, n)
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			row := make([]float32, w.Cols)
			for i := from; i < to; i++ {
				if errs[p] = errors.Join(ctx.Err(), w.Row(i, row)); errs[p] != nil {
					return
				}
				add(sums[p], row, i-from, columns)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var all []float64
	for p, s := range sums {
		switch {
		case !columns:
			all = append(all, s...)
		case p == 0:
			all = s
		default:
			for i, v := range s {
				all[i] += v
			}
		}
	}
	return all, nil
}

// add adds the squares of a row to its own sum, or to those of the columns.
func add(sums []float64, row []float32, at int, columns bool) {
	if columns {
		for i, v := range row {
			sums[i] += float64(v) * float64(v)
		}
		return
	}
	for _, v := range row {
		sums[at] += float64(v) * float64(v)
	}
}
