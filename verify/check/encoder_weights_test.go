package check

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
)

// TestHeads gives queries and keys whose products agree inside of heads of 16 rows, declared in other widths.
func TestHeads(t *testing.T) {
	t.Parallel()
	const rows, cols, width = 64, 96, 16
	r := rand.New(rand.NewPCG(3, 4))
	normal := func(n, m int) [][]float64 {
		a := make([][]float64, n)
		for i := range a {
			a[i] = make([]float64, m)
			for j := range a[i] {
				a[i][j] = r.NormFloat64()
			}
		}
		return a
	}
	// Both are the same mixture of the rows of a head, of other vectors each.
	var mixed [2][][]float64
	for range rows / width {
		mix := normal(width, width)
		for side := range mixed {
			of := normal(width, cols)
			for i := range width {
				row := make([]float64, cols)
				for k := range width {
					for j := range row {
						row[j] += mix[i][k] * of[k][j]
					}
				}
				mixed[side] = append(mixed[side], row)
			}
		}
	}
	alone := [2][][]float64{normal(rows, cols), normal(rows, cols)}
	tests := []struct {
		name    string
		of      [2][][]float64
		width   int
		outcome verify.Outcome
		reason  string
	}{
		{"right", mixed, 16, verify.OutcomePassed, ""},
		{"too narrow", mixed, 8, verify.OutcomeFailed, "fewer and wider heads"},
		{"too wide", mixed, 32, verify.OutcomeFailed, "more and narrower heads"},
		{"not trained", alone, 16, verify.OutcomeSkipped, "not coupled enough"},
	}
	for _, tt := range tests {
		var p headProducts
		for from := 0; from < rows; from += 2 * tt.width {
			p.add(cosines(tt.of[0][from:from+2*tt.width]), cosines(tt.of[1][from:from+2*tt.width]), tt.width)
		}
		f := p.judge(headsEvidence{Heads: rows / tt.width})
		if f.outcome != tt.outcome || !strings.Contains(f.reason, tt.reason) {
			t.Errorf("%s: %s %q, %+v", tt.name, f.outcome, f.reason, f.evidence)
		}
	}
}

func cosines(rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	product := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	for i := range rows {
		for j := range i {
			out[i] = append(out[i], product(rows[i], rows[j])/math.Sqrt(product(rows[i], rows[i])*product(rows[j], rows[j])))
		}
	}
	return out
}

// TestNormsFollow gives vectors that drift from layer to layer: no exchange of two layers is better than their order, and the exchange
// that undoes one is found.
func TestNormsFollow(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	const layers, width = 6, 128
	drift := func(v []float64) []float64 {
		next := make([]float64, width)
		for i := range next {
			next[i] = r.NormFloat64() * 0.5
			if v != nil {
				next[i] += v[i]
			}
		}
		return next
	}
	var c chain
	c.begin = drift(nil)
	at := c.begin
	for range layers {
		first := drift(at)
		at = drift(first)
		c.first, c.last = append(c.first, first), append(c.last, at)
	}
	best := func() (pair [2]int, mean, errors float64) {
		errors = math.Inf(-1)
		for i := range layers {
			for j := i + 1; j < layers; j++ {
				if m, e := c.gain(i, j); e > errors {
					pair, mean, errors = [2]int{i, j}, m, e
				}
			}
		}
		return pair, mean, errors
	}
	if pair, _, errors := best(); errors > 0 {
		t.Errorf("exchanging %v is better by %.1f standard errors", pair, errors)
	}
	for i := range layers {
		for j := i + 1; j < layers; j++ {
			exchange := func() {
				c.first[i], c.first[j] = c.first[j], c.first[i]
				c.last[i], c.last[j] = c.last[j], c.last[i]
			}
			exchange()
			if pair, mean, errors := best(); pair != [2]int{i, j} || errors < orderErrors || mean < orderGain {
				t.Errorf("layers %d and %d exchanged: %v by %.2f, %.1f standard errors", i, j, pair, mean, errors)
			}
			exchange()
		}
	}
}
