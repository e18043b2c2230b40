package lineage

import (
	"context"
	"errors"
	"math"
	"sync"
)

// Weight is a matrix, or a vector as one row.
type Weight interface {
	// Row decodes row i into dst, which is as long as a row. It is called from several goroutines at once.
	Row(i int, dst []float32) error
}

// Extent is what is read of weights: Rows rows of Cols elements, or of about Limit elements in rows spread evenly over them.
type Extent struct {
	Rows, Cols int
	Limit      int64 // 0 for all
	Threads    int   // 0 for one
}

// rows returns how many rows are read and where the n-th lies.
func (e Extent) rows() (count int, at func(n int) int) {
	count = e.Rows
	if e.Limit > 0 && e.Cols > 0 {
		count = int(min(int64(count), max(e.Limit/int64(e.Cols), 1)))
	}
	return count, func(n int) int { return int(int64(n) * int64(e.Rows) / int64(count)) }
}

// Distance says how far a weight is from another one of the same shape.
type Distance struct {
	Elements int64 // compared
	// Error is the root mean square of the difference divided by that of the other weight; infinite when that is zero and the
	// difference is not.
	Error float64
	// Cosine is that of the angle between the two as vectors, 0 when one of them is zero and 1 when both are.
	Cosine float64
	Equal  bool // every element compared is the same
}

// sums are what a distance is made of.
type sums struct {
	elements           int64
	difference, aa, bb float64 // of squares
	ab                 float64
	unequal            bool
}

func (s *sums) add(o sums) {
	s.elements += o.elements
	s.difference, s.aa, s.bb, s.ab = s.difference+o.difference, s.aa+o.aa, s.bb+o.bb, s.ab+o.ab
	s.unequal = s.unequal || o.unequal
}

// rowSums are those of one row. The products are summed in float64, so that a distance does not depend on the machine.
func rowSums(a, b []float32) sums {
	s := sums{elements: int64(len(a))}
	for i, v := range a {
		x, y := float64(v), float64(b[i])
		d := x - y
		s.difference += d * d
		s.aa += x * x
		s.bb += y * y
		s.ab += x * y
		s.unequal = s.unequal || v != b[i]
	}
	return s
}

// Measure compares the extent of a with that of b, in memory for a few rows.
func Measure(ctx context.Context, a, b Weight, e Extent) (Distance, error) {
	count, at := e.rows()
	parts := make([]sums, count)
	err := parallel(ctx, count, e.Threads, func() func(n int) error {
		x, y := make([]float32, e.Cols), make([]float32, e.Cols)
		return func(n int) error {
			if err := errors.Join(a.Row(at(n), x), b.Row(at(n), y)); err != nil {
				return err
			}
			parts[n] = rowSums(x, y)
			return nil
		}
	})
	if err != nil {
		return Distance{}, err
	}
	var s sums
	for _, p := range parts { // in their order, whoever made them
		s.add(p)
	}
	return s.distance(), nil
}

func (s sums) distance() Distance {
	d := Distance{Elements: s.elements, Equal: !s.unequal}
	switch {
	case s.aa == 0 && s.bb == 0:
		d.Cosine = 1
	case s.bb == 0:
		d.Error = math.Inf(1)
	default:
		d.Error = math.Sqrt(s.difference / s.bb)
		if s.aa > 0 {
			d.Cosine = s.ab / math.Sqrt(s.aa) / math.Sqrt(s.bb)
		}
	}
	return d
}

// parallel calls what worker returns, made once for each thread, with the numbers below count, until one call fails.
func parallel(ctx context.Context, count, threads int, worker func() func(n int) error) error {
	threads = max(min(threads, count), 1)
	errs := make([]error, threads)
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() {
			one := worker()
			for n := count * t / threads; n < count*(t+1)/threads; n++ {
				if ctx.Err() != nil {
					errs[t] = context.Cause(ctx)
					return
				}
				if errs[t] = one(n); errs[t] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
