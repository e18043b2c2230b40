package lineage

import (
	"context"
	"errors"
	"math"
)

// MaxBases is how many bases a merge may have.
const MaxBases = 8

// Mixture is the combination of bases that comes nearest to a weight.
type Mixture struct {
	Elements     int64
	Coefficients []float64 // of the bases, in their order
	// Error is the root mean square of what no combination explains, divided by that of the weight; 0 for a weight that is zero.
	Error float64
}

// Combine finds the mixture of bases nearest to a, by least squares over the extent, in memory for a row of each.
func Combine(ctx context.Context, a Weight, bases []Weight, e Extent) (Mixture, error) {
	k := len(bases)
	if k == 0 || k > MaxBases {
		return Mixture{}, errors.New("a mixture has 1 to 8 bases")
	}
	count, at := e.rows()
	// Of each row the products of every two of base 0, base 1, … and a, which is number k.
	parts := make([][]float64, count)
	err := parallel(ctx, count, e.Threads, func() func(n int) error {
		rows := make([][]float32, k+1)
		for i := range rows {
			rows[i] = make([]float32, e.Cols)
		}
		return func(n int) error {
			err := a.Row(at(n), rows[k])
			for i, b := range bases {
				err = errors.Join(err, b.Row(at(n), rows[i]))
			}
			parts[n] = products(rows)
			return err
		}
	})
	if err != nil {
		return Mixture{}, err
	}
	gram := make([]float64, (k+1)*(k+1))
	for _, p := range parts {
		for i, v := range p {
			gram[i] += v
		}
	}
	m := solve(gram, k)
	m.Elements = int64(count) * int64(e.Cols)
	return m, nil
}

// products returns the inner products of every two rows.
func products(rows [][]float32) []float64 {
	n := len(rows)
	out := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			var sum float64
			for c, v := range rows[i] {
				sum += float64(v) * float64(rows[j][c])
			}
			out[i*n+j], out[j*n+i] = sum, sum
		}
	}
	return out
}

// solve returns the least squares solution for the products of k bases and of what they shall explain, by Gaussian elimination
// with a diagonal that is raised a little, so that equal bases share their part.
func solve(gram []float64, k int) Mixture {
	n := k + 1
	at := func(i, j int) float64 { return gram[i*n+j] }
	trace := 0.0
	for i := range k {
		trace += at(i, i)
	}
	m := Mixture{Coefficients: make([]float64, k)}
	whole := at(k, k)
	if trace == 0 || whole == 0 {
		if whole > 0 {
			m.Error = 1
		}
		return m
	}
	rows := make([][]float64, k) // matrix and right side
	for i := range k {
		rows[i] = make([]float64, n)
		for j := range k {
			rows[i][j] = at(i, j)
		}
		rows[i][i] += 1e-9 * trace
		rows[i][k] = at(i, k)
	}
	for i := range k {
		for r := i + 1; r < k; r++ { // the matrix is positive definite: no pivot is needed
			f := rows[r][i] / rows[i][i]
			for c := i; c < n; c++ {
				rows[r][c] -= f * rows[i][c]
			}
		}
	}
	for i := k - 1; i >= 0; i-- {
		v := rows[i][k]
		for c := i + 1; c < k; c++ {
			v -= rows[i][c] * m.Coefficients[c]
		}
		m.Coefficients[i] = v / rows[i][i]
	}
	left := whole
	for i := range k {
		left -= 2 * m.Coefficients[i] * at(i, k)
		for j := range k {
			left += m.Coefficients[i] * m.Coefficients[j] * at(i, j)
		}
	}
	m.Error = math.Sqrt(max(left, 0) / whole)
	return m
}
