package reference

import "fmt"

// Tensor is an array as files hold it: the last dimension is contiguous.
type Tensor struct {
	Shape []int
	Data  []float64
}

// Rows returns the n-th of count equal parts of the tensor as a matrix of rows of the last dimension.
func (t Tensor) Rows(n, count int) [][]float64 {
	width := t.Shape[len(t.Shape)-1]
	size := len(t.Data) / count
	var rows [][]float64
	for part := t.Data[n*size : (n+1)*size]; len(part) > 0; part = part[width:] {
		rows = append(rows, part[:width])
	}
	return rows
}

// Linear is y = Wx + b, W with one row for each output; a nil bias is zero.
type Linear struct {
	Weight [][]float64
	Bias   []float64
}

// Apply returns the output for x.
func (l Linear) Apply(x []float64) []float64 {
	y := make([]float64, len(l.Weight))
	for i, row := range l.Weight {
		y[i] = Dot(row, x)
		if l.Bias != nil {
			y[i] += l.Bias[i]
		}
	}
	return y
}

// Cut returns the layer that computes only the outputs from..to-1 of l.
func (l Linear) Cut(from, to int) Linear {
	cut := Linear{Weight: l.Weight[from:to]}
	if l.Bias != nil {
		cut.Bias = l.Bias[from:to]
	}
	return cut
}

// Pick returns the layer whose i-th output is the one of l that order names.
func (l Linear) Pick(order []int) Linear {
	var p Linear
	for _, i := range order {
		p.Weight = append(p.Weight, l.Weight[i])
		if l.Bias != nil {
			p.Bias = append(p.Bias, l.Bias[i])
		}
	}
	return p
}

// Transposed returns the layer whose weights are stored with one row for each input, as GPT-2's are.
func (l Linear) Transposed() Linear {
	t := Linear{Weight: make([][]float64, len(l.Weight[0])), Bias: l.Bias}
	for i := range t.Weight {
		for _, row := range l.Weight {
			t.Weight[i] = append(t.Weight[i], row[i])
		}
	}
	return t
}

// Dot returns the inner product.
func Dot(a, b []float64) float64 {
	if len(a) != len(b) {
		panic(fmt.Sprintf("product of %d and %d elements", len(a), len(b)))
	}
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// Add returns the sum of the vectors.
func Add(vectors ...[]float64) []float64 {
	sum := make([]float64, len(vectors[0]))
	for _, v := range vectors {
		for i := range sum {
			sum[i] += v[i]
		}
	}
	return sum
}

// Scale returns f times x.
func Scale(x []float64, f float64) []float64 { return Map(x, func(v float64) float64 { return f * v }) }

// Map returns f of each element of x.
func Map(x []float64, f func(float64) float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = f(v)
	}
	return y
}
