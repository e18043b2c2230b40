package check

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference"
)

// measuredTensor is what the checks keep of a tensor's scan.
type measuredTensor struct {
	name, dtype, skipped, sameAs string
	shape                        []int
	elements, nan, inf, zero     int64
	min, max, rms                float64

	kind  string // the name with a star for each number
	layer int    // the first number of the name, -1 for a tensor outside the layers

	rows, columns inference.Spread
	deviation     float64
	kurtosis      float64
	mean          float64 // of the sample, in deviations
	zeros         float64 // part of the elements
	// Of the binary logarithms of the magnitudes that are not 0, which a few that are far out hardly move: median, mean and deviation.
	middle, size, octaves float64
}

// measured reads every weight once, at the first call.
func (m *model) measured(ctx context.Context) ([]*measuredTensor, error) {
	if m.tensors != nil {
		return m.tensors, nil
	}
	all := []*measuredTensor{}
	err := m.engine.scan(ctx, m.part.files, func(s inference.TensorScan) error {
		all = append(all, measure(&s))
		return nil
	})
	if err == nil {
		m.tensors = all
	}
	return all, err
}

func measure(s *inference.TensorScan) *measuredTensor {
	t := &measuredTensor{
		name: s.Name, dtype: s.DType, skipped: s.Skipped, sameAs: s.SameAs, shape: s.Shape,
		elements: s.Elements, nan: s.NaN, inf: s.Inf, zero: s.Zero, min: s.Min, max: s.Max, rms: s.RMS,
		rows: s.Rows, columns: s.Sample.Columns, deviation: s.Sample.Deviation, kurtosis: s.Sample.Kurtosis,
	}
	t.kind, t.layer = kindOf(s.Name)
	if t.deviation > 0 {
		t.mean = s.Sample.Mean / t.deviation
	}
	if t.elements > 0 {
		t.zeros = float64(t.zero) / float64(t.elements)
	}
	t.middle, t.size, t.octaves = magnitudes(&s.Sample.Exponents)
	return t
}

// magnitudes returns the median, the mean and the standard deviation of the binary logarithms that are counted by their biased integer
// part.
func magnitudes(exponents *[256]int64) (middle, mean, deviation float64) {
	var n, sum, squares float64
	for e, count := range exponents {
		x := float64(e - 127)
		n += float64(count)
		sum += x * float64(count)
		squares += x * x * float64(count)
	}
	if n == 0 {
		return 0, 0, 0
	}
	seen := 0.0
	for e, count := range exponents {
		if seen += float64(count); 2*seen >= n {
			middle = float64(e - 127)
			break
		}
	}
	return middle, sum/n + 0.5, math.Sqrt(max(0, squares/n-sum/n*sum/n))
}

// numbers are those between the dots of a tensor's name.
var numbers = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|\.)(\d+)(\.|$)`) })

// kindOf returns what tensors of all layers share in their names, and the layer.
func kindOf(name string) (kind string, layer int) {
	match := numbers().FindStringSubmatch(name)
	if match == nil {
		return name, -1
	}
	layer, err := strconv.Atoi(match[2])
	if err != nil || layer > maxLayers {
		return name, -1
	}
	return numbers().ReplaceAllString(name, "$1*$3"), layer
}

func (t *measuredTensor) maxAbs() float64 { return max(math.Abs(t.min), math.Abs(t.max)) }

// sound reports whether the values can be compared with others.
func (t *measuredTensor) sound() bool { return t.skipped == "" && t.nan+t.inf == 0 && t.elements > 0 }

// constant reports whether all values are the same.
func (t *measuredTensor) constant() bool { return t.sound() && t.elements > 1 && t.min == t.max }

// matrix reports whether the tensor is a matrix, or several.
func (t *measuredTensor) matrix() bool {
	return rows(t.shape) >= 2 && len(t.shape) >= 2 && t.elements >= 64
}

// norm reports whether the name is that of the weights of a norm.
func (t *measuredTensor) norm() bool {
	return len(t.shape) == 1 && strings.HasSuffix(t.name, "weight") &&
		(strings.Contains(strings.ToLower(t.name), "norm") || strings.Contains(t.name, "ln_"))
}

// peak is how many binary orders of magnitude the largest value lies above a usual one.
func (t *measuredTensor) peak() float64 {
	if t.maxAbs() == 0 {
		return 0
	}
	return max(0, math.Log2(t.maxAbs())-t.middle)
}

// family is the tensors of a kind that have the same shape: one for each layer, or expert.
type family struct {
	kind    string
	members []*measuredTensor
	layers  int // of the model
}

// familiesOf groups the tensors of the layers that can be compared, in the order of their names.
func familiesOf(all []*measuredTensor) []*family {
	layers := 0
	byKey := map[string]*family{}
	var list []*family
	for _, t := range all {
		if t.layer < 0 || !t.sound() {
			continue
		}
		layers = max(layers, t.layer+1)
		key := t.kind
		for _, d := range t.shape {
			key += " " + strconv.Itoa(d)
		}
		f := byKey[key]
		if f == nil {
			f = &family{kind: t.kind}
			byKey[key] = f
			list = append(list, f)
		}
		f.members = append(f.members, t)
	}
	for _, f := range list {
		f.layers = layers
		slices.SortStableFunc(f.members, func(a, b *measuredTensor) int { return a.layer - b.layer })
	}
	slices.SortStableFunc(list, func(a, b *family) int { return strings.Compare(a.kind, b.kind) })
	return list
}

// edge reports whether a layer is one of those that differ from the others by nature: the first and the last.
func (f *family) edge(layer int) bool {
	return layer == 0 || layer == f.layers-1 || f.layers >= 8 && layer == 1
}
