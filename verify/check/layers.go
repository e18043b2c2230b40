package check

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// Bounds of the check of the order of layers, for scales and shifts each.
const (
	orderErrors = 3    // standard errors that another order must be better by
	orderGain   = 0.15 // and by how much for each place where the order differs, as the difference of Fisher's z
	orderBoth   = 6    // standard errors of both together
)

// layerOrderCheck follows the norms through an encoder whose norms come after what they normalize. Scales and shifts that follow each other
// are alike, and the less so the more layers lie between them. So they tell in which order the layers were trained.
var layerOrderCheck = check{
	id: idLayerOrder, level: verify.LevelStandard, after: []string{idHeaders, idValues},
	proves: "In an encoder, the norms of layers that follow each other are more alike than in any other order of two layers.",
	about:  isEncoder,
	run:    compareLayerOrder,
}

type layerOrderEvidence struct {
	Layers int       `json:"layers"`
	Alike  float64   `json:"alike"`          // mean correlation of scales that follow each other; to 3 decimals
	Swap   *exchange `json:"swap,omitempty"` // the exchange of two layers that is best
}

// exchange is what an exchange of two layers does.
type exchange struct {
	Layers         [2]int  `json:"layers"`
	Scales         float64 `json:"scales"` // gain for each place that differs; to 3 decimals
	Shifts         float64 `json:"shifts"`
	Errors         float64 `json:"errors"` // of both together, in standard errors; to 1 decimal
	scales, shifts float64 // in standard errors
}

// chain is one kind of vectors, scales or shifts, from the embedding through the layers.
type chain struct {
	begin       []float64
	first, last [][]float64 // of each layer
}

func compareLayerOrder(ctx context.Context, m *model) (finding, error) {
	k, err := m.openAs(ctx, nil, false)
	if err != nil {
		return finding{}, err
	}
	defer k.close()
	scales, shifts, err := normChains(ctx, k.readers[0])
	if err != nil {
		return finding{}, err
	}
	layers := len(scales.first)
	if layers < 2 || layers != k.readers[0].Layers() || len(shifts.first) != layers || scales.begin == nil || shifts.begin == nil {
		return excused("the norms do not come after what they normalize, or have no shifts"), nil
	}
	ev := layerOrderEvidence{Layers: layers, Alike: decimals(scales.alike(), 3)}
	for i := range layers {
		for j := i + 1; j < layers; j++ {
			s := exchange{Layers: [2]int{i, j}}
			s.Scales, s.scales = scales.gain(i, j)
			s.Shifts, s.shifts = shifts.gain(i, j)
			s.Errors = (s.scales + s.shifts) / math.Sqrt2
			if ev.Swap == nil || s.Errors > ev.Swap.Errors {
				ev.Swap = &s
			}
		}
	}
	best := *ev.Swap
	better := min(best.scales, best.shifts) > orderErrors && min(best.Scales, best.Shifts) > orderGain && best.Errors > orderBoth
	ev.Swap.Scales, ev.Swap.Shifts, ev.Swap.Errors = decimals(best.Scales, 3), decimals(best.Shifts, 3), decimals(best.Errors, 1)
	if better {
		return failed(ev, "the layers %d and %d stand in each other's place: the norms would follow each other by %.1f standard errors better", best.Layers[0], best.Layers[1], best.Errors), nil
	}
	return passed(ev), nil
}

// normChains reads scales and shifts of the norms behind the embedding and in each layer.
func normChains(ctx context.Context, r *inference.RoleReader) (scales, shifts chain, err error) {
	ends, err := r.Ends(ctx)
	if err != nil {
		return scales, shifts, err
	}
	if scales.begin, err = vectorOf(ends, "embedding_norm"); err != nil {
		return scales, shifts, err
	}
	if shifts.begin, err = vectorOf(ends, "embedding_norm.bias"); err != nil {
		return scales, shifts, err
	}
	for i := range r.Layers() {
		list, err := r.Layer(ctx, i)
		if err != nil {
			return scales, shifts, err
		}
		for _, to := range []struct {
			c      *chain
			suffix string
		}{{&scales, ""}, {&shifts, ".bias"}} {
			first, err := vectorOf(list, "after_attention_norm"+to.suffix)
			if err != nil {
				return scales, shifts, err
			}
			last, err := vectorOf(list, "after_feed_norm"+to.suffix)
			if err != nil {
				return scales, shifts, err
			}
			if len(first) == 0 || len(first) != len(last) || len(first) != len(to.c.begin) {
				continue // compareLayerOrder misses it
			}
			to.c.first, to.c.last = append(to.c.first, first), append(to.c.last, last)
		}
	}
	return scales, shifts, nil
}

// follow is how alike a vector is to the one behind it, as Fisher's z of their correlation.
func follow(a, b []float64) float64 {
	return math.Atanh(max(-0.999, min(0.999, correlation(a, b))))
}

// place returns what stands before layer i when the layers x and y are exchanged, and the layer itself.
func (c *chain) place(i, x, y int) (before, at []float64) {
	exchanged := func(i int) int {
		switch i {
		case x:
			return y
		case y:
			return x
		}
		return i
	}
	if i == 0 {
		return c.begin, c.first[exchanged(0)]
	}
	return c.last[exchanged(i-1)], c.first[exchanged(i)]
}

// gain tells what exchanging two layers would do to the likeness of what follows each other: the mean over the places that change, and
// the sum over them in standard errors.
func (c *chain) gain(x, y int) (mean, errors float64) {
	places := 0
	for i := range c.first {
		if i != x && i != x+1 && i != y && i != y+1 {
			continue
		}
		a, b := c.place(i, x, x)
		was := follow(a, b)
		a, b = c.place(i, x, y)
		mean += follow(a, b) - was
		places++
	}
	errors = mean * math.Sqrt(float64(len(c.begin)-3)) / math.Sqrt(2*float64(places))
	return mean / float64(places), errors
}

// alike is the mean correlation of vectors that follow each other.
func (c *chain) alike() float64 {
	var sum float64
	for i := range c.first {
		a, b := c.place(i, 0, 0)
		sum += correlation(a, b)
	}
	return sum / float64(len(c.first))
}

// vectorOf returns the vector whose role ends in the name given, nil when there is none.
func vectorOf(list []*inference.Weight, name string) ([]float64, error) {
	w := roleOf(list, name)
	if w == nil || w.Rows != 1 {
		return nil, nil
	}
	row := make([]float32, w.Cols)
	if err := w.Row(0, row); err != nil {
		return nil, fmt.Errorf("read %s: %w", w.Role, err)
	}
	v := make([]float64, len(row))
	for i, x := range row {
		v[i] = float64(x)
	}
	return v, nil
}

// lastRole cuts the layer's number off a role.
func lastRole(role string) string {
	rest, inLayer := strings.CutPrefix(role, "layers.")
	if !inLayer {
		return role
	}
	_, rest, _ = strings.Cut(rest, ".")
	return rest
}
