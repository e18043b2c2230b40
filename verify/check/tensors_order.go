package check

import (
	"context"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// orderCheck looks for layers whose weights are in random order. Training gives rows and columns of a matrix different norms, by more
// than chance would; a shuffle takes that away.
var orderCheck = check{
	id: idOrder, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "No layer has matrices whose elements are in random order while those of the other layers are not.",
	run:    findRandomOrder,
}

type orderEvidence struct {
	Kinds []orderKind `json:"kinds,omitempty"` // those in which order shows
}

// orderKind says by which factor the norms of rows or columns, whichever differ more, spread more than by chance.
type orderKind struct {
	Kind   string   `json:"kind"`
	Layers int      `json:"layers"`
	Least  float64  `json:"least"`
	Median float64  `json:"median"`
	Random []string `json:"random,omitempty"` // tensors in random order, the first few
}

// leastPeers is with how many other layers a tensor is compared at least.
const leastPeers = 3

func findRandomOrder(ctx context.Context, m *model) (finding, error) {
	all, err := m.measured(ctx)
	if err != nil {
		return finding{}, err
	}
	var ev orderEvidence
	var sentences []string
	inLayer := map[int]int{}
	compared := 0
	for _, f := range familiesOf(all) {
		orders := make([]float64, len(f.members))
		random := map[int]bool{}
		for i, t := range f.members {
			orders[i] = order(t)
		}
		if len(orders) <= leastPeers || !f.members[0].matrix() {
			continue
		}
		compared++
		for i, t := range f.members {
			if !byChance(t) {
				continue
			}
			// All others have to stand out.
			least, rest := math.Inf(1), 0
			for k, o := range orders {
				if k != i && f.members[k].layer != t.layer {
					least, rest = min(least, o), rest+1
				}
			}
			if rest >= leastPeers && least > max(1.15, 1+2*(orders[i]-1)) {
				random[i] = true
			}
		}
		kind := orderKind{Kind: storable(f.kind), Layers: len(f.members), Least: rounded(least(orders)), Median: rounded(median(orders))}
		for i, t := range f.members {
			if random[i] {
				kind.Random = addNamed(kind.Random, storable(t.name))
				sentences = append(sentences, fmt.Sprintf("the elements of %q are in random order, unlike those of the other layers", t.name))
				inLayer[t.layer]++
			}
		}
		if (kind.Median > 1.15 || kind.Random != nil) && len(ev.Kinds) < maxKinds {
			ev.Kinds = append(ev.Kinds, kind)
		}
	}
	if compared == 0 {
		return excused("there are not enough layers to compare"), nil
	}
	for _, n := range inLayer {
		if n >= 2 { // one may be an accident of training
			return verdict(ev, sentences, nil), nil
		}
	}
	return verdict(ev, nil, sentences), nil
}

// order is by which factor the norms of rows or columns spread more than by chance.
func order(t *measuredTensor) float64 {
	return max(overChance(t.rows), overChance(t.columns))
}

func overChance(s inference.Spread) float64 {
	if s.Chance <= 0 || s.Vectors < 16 {
		return 1
	}
	return s.Deviation / s.Chance
}

// byChance reports whether norms of rows and columns spread as by chance, within three standard errors and what the approximation
// of Spread.Chance is off.
func byChance(t *measuredTensor) bool {
	for _, s := range []inference.Spread{t.rows, t.columns} {
		if s.Vectors < 16 || s.Zero > 0 {
			return false
		}
		if math.Abs(overChance(s)-1) > 3/math.Sqrt(2*float64(s.Vectors))+0.04 {
			return false
		}
	}
	return true
}
