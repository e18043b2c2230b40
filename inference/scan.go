package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/carat-hub/carat/inference/tensor"
)

// TensorScan is what the values of one tensor look like. It does not depend on how many threads looked.
type TensorScan struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	// Skipped says why the values were not looked at: their type or layout cannot be decoded here. The rest is zero then.
	Skipped  string `json:"skipped,omitempty"`
	Elements int64  `json:"elements"`
	NaN      int64  `json:"nan"`
	Inf      int64  `json:"inf"`
	// Zero is exact for types of floats. For block types it is what Sample gives, unless all elements are zero.
	Zero int64 `json:"zero"`
	// Min, Max, Mean and RMS are of the finite values.
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	RMS  float64 `json:"rms"`
	// Rows are the norms of all rows, the vectors of the last dimension. It is zero for what is no matrix, and for one whose rows are
	// shorter than 32 or longer than 32768.
	Rows Spread `json:"rows"`
	// Sample is what a look at some rows in full gives, spread evenly over the tensor; at all rows of a small one.
	Sample Sample `json:"sample"`
	// SameAs names the first tensor before this one that has the same bytes in the same type.
	SameAs string `json:"sameAs,omitempty"`
}

// Spread says how the norms of vectors differ, by their natural logarithms.
type Spread struct {
	Vectors   int64   `json:"vectors"` // those that are not zero
	Zero      int64   `json:"zero"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"` // standard deviation
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	// Chance is about the deviation that vectors of as many independent values of the same distribution have.
	Chance float64 `json:"chance"`
}

// Sample is what some rows of a tensor look like.
type Sample struct {
	Elements int64 `json:"elements"` // finite ones
	Zero     int64 `json:"zero"`
	// Mean, Deviation, Skewness and Kurtosis (3 for a normal distribution) are the moments.
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"`
	Skewness  float64 `json:"skewness"`
	Kurtosis  float64 `json:"kurtosis"`
	// Exponents counts the finite values that are not 0 by the biased exponent of their float32: entry 127 those from 1 to 2.
	Exponents [256]int64 `json:"-"`
	// Columns are the norms of the columns of the sampled rows.
	Columns Spread `json:"columns"`
}

// Scanner reads every weight once, at the speed of memory where the files are mapped.
type Scanner struct {
	Threads int // default: as many as Go runs at once
	// Row, when not nil, is given the rows of the sample, decoded: the number of the tensor in the order of the files, that of the row
	// (of a piece of 4096 elements, where Rows of the scan is zero), and the values, which hold until it returns. It is called on
	// several goroutines at once, in any order, before the tensor's scan is given out.
	Row func(tensor, row int, values []float32)
}

// ScanTensors reads every tensor once, in the order of the files, and calls each with what it found. It works for
// architectures that cannot be run. Errors are those of Inspect, of each, and of reading.
func ScanTensors(ctx context.Context, files Files, each func(TensorScan) error) error {
	return Scanner{}.Scan(ctx, files, each)
}

// Scan is ScanTensors with the settings of s.
func (s Scanner) Scan(ctx context.Context, files Files, each func(TensorScan) error) (err error) {
	c, err := openContainer(ctx, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	threads := s.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := newPass(ctx, c, s.Row)
	defer p.end()
	p.begin(threads)
	twins := newTwins()
	for i := range c.tensors {
		j, err := p.finished(i)
		if err != nil {
			return fmt.Errorf("scan tensor %.120q: %w", c.tensors[i].name, err)
		}
		scan := j.result()
		if scan.Skipped == "" {
			if scan.SameAs, err = twins.find(ctx, j, &scan); err != nil {
				return fmt.Errorf("compare tensor %.120q: %w", scan.Name, err)
			}
		}
		if err := each(scan); err != nil {
			return err
		}
	}
	return nil
}

// result puts together what the chunks of a tensor gave, in their order.
func (j *scanJob) result() TensorScan {
	s := j.scan
	if s.Skipped != "" {
		return s
	}
	all := newPortion()
	sample := newSampled(j.columns())
	defer spare.Put(sample)
	for i := range j.chunks {
		all.add(&j.chunks[i])
		if some := j.chunks[i].sample; some != nil {
			sample.add(some)
			spare.Put(some)
		}
	}
	j.chunks = nil
	s.NaN, s.Inf, s.Zero = all.nan, all.inf, all.zero
	if finite := float64(s.Elements - s.NaN - s.Inf); finite > 0 {
		s.Min, s.Max = all.low, all.high
		s.Mean, s.RMS = all.sum/finite, math.Sqrt(all.squares/finite)
	}
	s.Sample = sample.result()
	if !all.exact && s.Sample.Elements > 0 {
		s.Zero = int64(math.Round(float64(s.Elements) * float64(s.Sample.Zero) / float64(s.Sample.Elements)))
		if s.NaN+s.Inf == 0 && s.Min == 0 && s.Max == 0 {
			s.Zero = s.Elements
		} else if s.Zero == s.Elements {
			s.Zero-- // the others are not in the sample
		}
	}
	if j.matrix {
		s.Rows = all.norms.spread()
		s.Rows.Chance = chance(s.Sample.Kurtosis, j.width)
		if n := sample.rows; n > 1 {
			s.Sample.Columns.Chance = chance(s.Sample.Kurtosis, n)
		}
	} else {
		s.Sample.Columns = Spread{}
	}
	return s
}

// chance is the standard deviation of the logarithm of the norm of n independent values: half of that of their mean square over the
// mean square, to first order.
func chance(kurtosis float64, n int) float64 { return math.Sqrt(max(kurtosis-1, 0)/float64(n)) / 2 }

// norms add up the logarithms of norms.
type norms struct {
	vectors, zero int64
	sum, squares  float64
	low, high     float64
}

func newNorms() norms { return norms{low: math.Inf(1), high: math.Inf(-1)} }

// count takes the squares of norms.
func (n *norms) count(squares []float64) {
	vectors, zero := n.vectors, n.zero
	sum, sumOfSquares, low, high := n.sum, n.squares, n.low, n.high
	for _, square := range squares {
		if !(square > 0) || square > math.MaxFloat64 {
			if square == 0 {
				zero++
			}
			continue
		}
		l := 0.5 * math.Ln2 * log2(square)
		vectors++
		sum += l
		sumOfSquares += l * l
		if l < low {
			low = l
		}
		if l > high {
			high = l
		}
	}
	*n = norms{vectors: vectors, zero: zero, sum: sum, squares: sumOfSquares, low: low, high: high}
}

// log2 is the binary logarithm of a normal number, accurate to 1e-4, in a fraction of the time.
func log2(x float64) float64 {
	bits := math.Float64bits(x)
	exponent := float64(int(bits>>52)) - 1023
	f := math.Float64frombits(bits&(1<<52-1)|1023<<52) - 1
	// The best polynomial of the fifth degree for the logarithm of 1+f, which is exact at both ends.
	return exponent + f*(1.44179+f*(-0.70845+f*(0.41452+f*(-0.19337+f*0.04551))))
}

func (n *norms) add(o *norms) {
	n.vectors += o.vectors
	n.zero += o.zero
	n.sum += o.sum
	n.squares += o.squares
	n.low, n.high = min(n.low, o.low), max(n.high, o.high)
}

func (n *norms) spread() Spread {
	s := Spread{Vectors: n.vectors, Zero: n.zero}
	if n.vectors > 0 {
		s.Mean = n.sum / float64(n.vectors)
		s.Deviation = math.Sqrt(max(0, n.squares/float64(n.vectors)-s.Mean*s.Mean))
		s.Min, s.Max = n.low, n.high
	}
	return s
}

// sampled is what rows that are looked at in full add up to.
type sampled struct {
	rows           int
	elements, zero int64
	moments        [4]float64 // sums of the powers
	exponents      [256]int64
	columns        []float64 // sums of the squares
}

// spare keeps what rows added up to, for the next ones: fresh memory takes longer than the sums.
var spare sync.Pool

func newSampled(columns int) *sampled {
	s, _ := spare.Get().(*sampled)
	if s == nil || cap(s.columns) < columns {
		return &sampled{columns: make([]float64, columns)}
	}
	*s = sampled{columns: s.columns[:columns]}
	clear(s.columns)
	return s
}

func (s *sampled) take(row []float32) {
	s.rows++
	var m1, m2, m3, m4 float64
	columns := s.columns
	if len(columns) != len(row) {
		columns = nil
	}
	for i, v := range row {
		exponent := math.Float32bits(v) >> 23 & 0xff
		if exponent == 0xff {
			continue
		}
		s.elements++
		if v == 0 {
			s.zero++
			continue
		}
		s.exponents[exponent]++
		x := float64(v)
		xx := x * x
		m1 += x
		m2 += xx
		m3 += xx * x
		m4 += xx * xx
		if columns != nil {
			columns[i] += xx
		}
	}
	for i, m := range [4]float64{m1, m2, m3, m4} {
		s.moments[i] += m
	}
}

func (s *sampled) add(o *sampled) {
	s.rows += o.rows
	s.elements += o.elements
	s.zero += o.zero
	for i, m := range o.moments {
		s.moments[i] += m
	}
	for i, n := range o.exponents {
		s.exponents[i] += n
	}
	for i, c := range o.columns {
		s.columns[i] += c
	}
}

func (s *sampled) result() Sample {
	r := Sample{Elements: s.elements, Zero: s.zero, Exponents: s.exponents}
	if s.elements == 0 {
		return r
	}
	n := float64(s.elements)
	mean, second, third, fourth := s.moments[0]/n, s.moments[1]/n, s.moments[2]/n, s.moments[3]/n
	variance := max(0, second-mean*mean)
	r.Mean, r.Deviation = mean, math.Sqrt(variance)
	if variance > 1e-12*second {
		r.Skewness = (third - 3*mean*second + 2*mean*mean*mean) / (variance * r.Deviation)
		r.Kurtosis = (fourth - 4*mean*third + 6*mean*mean*second - 3*mean*mean*mean*mean) / (variance * variance)
	}
	columns := newNorms()
	columns.count(s.columns)
	r.Columns = columns.spread()
	return r
}

// scannable says why the values of a tensor cannot be looked at, "" when they can.
func scannable(t *storedTensor) string {
	if !t.typ.Runnable() {
		return "values of type " + t.typ.String() + " cannot be decoded yet"
	}
	return t.unread
}

// shapeOfScan returns how a tensor is cut into rows, and whether these are rows of a matrix.
func shapeOfScan(t *storedTensor) (width int, matrix bool) {
	elements, _ := tensor.Elements(t.shape)
	if n := len(t.shape); n >= 2 {
		cols := t.shape[n-1]
		if cols >= leastRow && cols <= mostRow && elements/int64(cols) >= 2 {
			return cols, true
		}
	}
	return pieceElements, false
}
