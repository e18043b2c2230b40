package check

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/verify"
)

// outliersCheck compares each tensor with those of its kind in the other layers.
var outliersCheck = check{
	id: idOutliers, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "The weights of each layer are distributed like those of the other layers, and none is far beyond all others.",
	run:    findOutliers,
}

// maxKinds is how many kinds of tensors the evidence describes.
const maxKinds = 64

type outliersEvidence struct {
	Kinds    []kindStatistics `json:"kinds,omitempty"`
	Outliers []outlier        `json:"outliers,omitempty"`
}

// kindStatistics are medians over the layers.
type kindStatistics struct {
	Kind       string  `json:"kind"`
	Tensors    int     `json:"tensors"`
	RMS        float64 `json:"rms"`
	Kurtosis   float64 `json:"kurtosis"` // 3 for a normal distribution
	Peak       float64 `json:"peak"`     // binary logarithm of the largest magnitude over a usual one
	RowNorm    float64 `json:"rowNorm"`  // standard deviation of the logarithm of the norm of a row
	ColumnNorm float64 `json:"columnNorm"`
	Octaves    float64 `json:"octaves"` // standard deviation of the binary logarithms of the magnitudes
}

type outlier struct {
	Tensor string  `json:"tensor"`
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Low    float64 `json:"low"` // of the other layers
	High   float64 `json:"high"`
}

// trait is a property in which layers resemble each other. A tensor is odd when it lies outside of the range of the others by more
// than a gap, and wrong by more than another; twice as far in the layers that differ by nature. Both gaps grow with the range.
type trait struct {
	name string
	of   func(t *measuredTensor) float64
	// where says to which tensors the trait applies; sameType that only tensors of the same element type are compared.
	where    func(t *measuredTensor) bool
	sameType bool
	odd      float64
	wrong    float64 // infinite for a trait that alone proves nothing
	// beyond is what an odd value must exceed, and a wrong one by half as much again.
	beyond float64
	// says puts a value beside the range of the others.
	says string
}

var never = math.Inf(1)

// traits are measured on logarithms where layers differ by factors. The gaps were chosen such that the differences between the layers of
// trained models of all sizes stay well inside.
var traits = []trait{
	{"peak", (*measuredTensor).peak, always, false, 4, 6, 9, "the largest value of %q is 2^%.3g times a usual one, in other layers 2^%.3g to 2^%.3g"},
	{"octaves", func(t *measuredTensor) float64 { return t.octaves }, large, false, 2, 3.5, 4, "the magnitudes of %q spread over %.3g octaves, in other layers over %.3g to %.3g"},
	{"size", func(t *measuredTensor) float64 { return t.size }, large, false, 0.9, 1.7, math.Inf(-1), "the values of %q are of size 2^%.3g, in other layers 2^%.3g to 2^%.3g"},
	{"zeros", func(t *measuredTensor) float64 { return t.zeros }, large, true, 0.02, 0.1, 0, "of the values of %q %.3g are zero, in other layers %.3g to %.3g"},
	{"zeroRows", zeroRows, large, false, 0, 0.1, 0, "of the rows of %q %.3g are zero, in other layers %.3g to %.3g"},
	{"mean", func(t *measuredTensor) float64 { return math.Abs(t.mean) }, large, false, 0.5, never, 0, "the mean of %q is %.3g standard deviations, in other layers %.3g to %.3g"},
	{"kurtosis", func(t *measuredTensor) float64 { return math.Log2(max(t.kurtosis, 1)) }, large, false, 3, never, 5, "the kurtosis of %q is 2^%.3g, in other layers 2^%.3g to 2^%.3g"},
	{"rowNorms", func(t *measuredTensor) float64 { return t.rows.Deviation }, rowed, false, 0.5, never, 0, "the logarithms of the norms of the rows of %q differ by %.3g, in other layers by %.3g to %.3g"},
	{"columnNorms", func(t *measuredTensor) float64 { return t.columns.Deviation }, rowed, false, 0.5, never, 0, "the logarithms of the norms of the columns of %q differ by %.3g, in other layers by %.3g to %.3g"},
}

func always(t *measuredTensor) bool { return t.elements >= 32 && t.maxAbs() > 0 }
func large(t *measuredTensor) bool  { return t.matrix() && t.elements >= leastMatrix && t.maxAbs() > 0 }
func rowed(t *measuredTensor) bool  { return large(t) && t.rows.Vectors >= 16 }

func zeroRows(t *measuredTensor) float64 {
	return float64(t.rows.Zero) / float64(max(1, t.rows.Zero+t.rows.Vectors))
}

// Alone, a value is as large as this many binary orders of magnitude above a usual one in no weights that anyone trained.
const oddPeak, wrongPeak = 14, 20

func findOutliers(ctx context.Context, m *model) (finding, error) {
	all, err := m.measured(ctx)
	if err != nil {
		return finding{}, err
	}
	var ev outliersEvidence
	var wrong, odd []string
	named := map[string]bool{}
	for _, f := range familiesOf(all) {
		if len(ev.Kinds) < maxKinds && f.members[0].matrix() {
			ev.Kinds = append(ev.Kinds, f.statistics())
		}
		for _, t := range f.members {
			for _, x := range traits {
				o, sure, ok := f.compare(t, x)
				if !ok {
					continue
				}
				named[t.name] = true
				if len(ev.Outliers) < maxNamed {
					ev.Outliers = append(ev.Outliers, o)
				}
				sentence := fmt.Sprintf(x.says, t.name, o.Value, o.Low, o.High)
				if sure {
					wrong = append(wrong, sentence)
				} else {
					odd = append(odd, sentence)
				}
			}
		}
	}
	for _, t := range all {
		if !t.sound() || named[t.name] || !t.matrix() || t.peak() < oddPeak {
			continue
		}
		if len(ev.Outliers) < maxNamed {
			ev.Outliers = append(ev.Outliers, outlier{Tensor: storable(t.name), What: "peak", Value: rounded(t.peak())})
		}
		sentence := fmt.Sprintf("the largest value of %q is 2^%.3g times a usual one", t.name, t.peak())
		if t.peak() < wrongPeak {
			odd = append(odd, sentence)
		} else {
			wrong = append(wrong, sentence)
		}
	}
	return verdict(ev, wrong, odd), nil
}

// compare compares a trait of a tensor with those of the other layers; ok says that it lies outside, sure that it must not.
func (f *family) compare(t *measuredTensor, x trait) (o outlier, sure, ok bool) {
	if !x.where(t) {
		return o, false, false
	}
	v := x.of(t)
	low, high, n := math.Inf(1), math.Inf(-1), 0
	for _, other := range f.members {
		if other.layer == t.layer || !x.where(other) || x.sameType && other.dtype != t.dtype {
			continue
		}
		w := x.of(other)
		low, high, n = min(low, w), max(high, w), n+1
	}
	if n < leastPeers || v <= x.beyond {
		return o, false, false
	}
	off := max(low-v, v-high)
	if x.beyond > math.Inf(-1) {
		off = v - high // only more than usual says something
	}
	factor := 1.0
	if f.edge(t.layer) {
		factor = 2
	}
	if off <= factor*x.odd || off <= 2*(high-low) {
		return o, false, false
	}
	o = outlier{Tensor: storable(t.name), What: x.name, Value: rounded(v), Low: rounded(low), High: rounded(high)}
	return o, off > factor*x.wrong && (x.beyond <= 0 || v > 1.5*x.beyond) && t.matrix(), true
}

func (f *family) statistics() kindStatistics {
	of := func(value func(t *measuredTensor) float64) float64 {
		var list []float64
		for _, t := range f.members {
			list = append(list, value(t))
		}
		return rounded(median(list))
	}
	return kindStatistics{
		Kind: storable(f.kind), Tensors: len(f.members),
		RMS:        of(func(t *measuredTensor) float64 { return t.rms }),
		Kurtosis:   of(func(t *measuredTensor) float64 { return t.kurtosis }),
		Peak:       of((*measuredTensor).peak),
		RowNorm:    of(func(t *measuredTensor) float64 { return t.rows.Deviation }),
		ColumnNorm: of(func(t *measuredTensor) float64 { return t.columns.Deviation }),
		Octaves:    of(func(t *measuredTensor) float64 { return t.octaves }),
	}
}

// median of a list that is not empty.
func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

func least(list []float64) float64 { return slices.Min(list) }
