package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/verify"
)

// Bounds of the coupling check, in standard errors of a rank correlation of unrelated values.
const (
	coupledLeast = 2 // below which a layer is not coupled
	coupledMost  = 5 // what the other layers must have at least, in the middle
	leastCoupled = 3 // layers
)

// couplingCheck compares what leads into the inner part of each feed-forward layer with what leads out of it. Training gives both the
// same share: where rows of one are large, so are the columns of the other. Weights that were shuffled, or are from another layer, have
// lost it.
var couplingCheck = check{
	id: idCoupling, level: verify.LevelStandard, after: []string{idHeaders, idValues},
	proves: "In every layer, the rows that lead into the feed-forward layer go with the columns that lead out of it, as training makes them.",
	run:    compareCouplings,
}

type couplingEvidence struct {
	Layers int `json:"layers"` // that were compared
	// Typical is the rank correlation of norms of rows and columns in the middle of the layers; to 3 decimals. Least are the layers
	// with the smallest.
	Typical float64   `json:"typical"`
	Least   []coupled `json:"least"`
}

type coupled struct {
	Layer       int     `json:"layer"`
	Correlation float64 `json:"correlation"` // to 3 decimals
	errors      float64
}

func compareCouplings(ctx context.Context, m *model) (finding, error) {
	if err := m.load(ctx); err != nil {
		return finding{}, err
	}
	var all []coupled
	for l := range m.decoder.described().Layers {
		in, out, err := m.decoder.feedForwardNorms(ctx, l)
		if err != nil {
			return finding{}, fmt.Errorf("read layer %d: %w", l, err)
		}
		if len(in) < 16 {
			continue // experts, which have no one feed-forward layer
		}
		r := correlation(ranks(in), ranks(out))
		all = append(all, coupled{l, decimals(r, 3), r * math.Sqrt(float64(len(in)-1))})
	}
	if len(all) < leastCoupled {
		return excused("there are %d layers to compare", len(all)), nil
	}
	slices.SortStableFunc(all, func(a, b coupled) int { return cmp.Compare(a.errors, b.errors) })
	middle := all[len(all)/2]
	ev := couplingEvidence{Layers: len(all), Typical: middle.Correlation, Least: all[:min(len(all), 4)]}
	var wrong []string
	for _, c := range all {
		if c.errors < coupledLeast {
			wrong = append(wrong, fmt.Sprintf("layer %d has a correlation of %.2g where others have %.2g", c.Layer, c.Correlation, middle.Correlation))
		}
	}
	if len(wrong) > 0 && len(wrong) <= max(1, len(all)/8) && middle.errors > coupledMost {
		return failed(ev, "feed-forward weights do not belong together: %s", listed(wrong)), nil
	}
	return passed(ev), nil
}

// ranks returns the place of each value in their order.
func ranks(v []float64) []float64 {
	order := inOrder(len(v))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	r := make([]float64, len(v))
	for place, i := range order {
		r[i] = float64(place)
	}
	return r
}

func correlation(a, b []float64) float64 {
	ma, mb := mean(a), mean(b)
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-ma, b[i]-mb
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
