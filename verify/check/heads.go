package check

import (
	"context"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// Bounds of the heads check.
const (
	headsCoupled = 0.2  // correlation inside of heads from which on they can be told
	headsErrors  = 8    // and what it must be in standard errors
	headsHalf    = 0.45 // below this part of it, the halves of a head have nothing to do with each other
	headsTwice   = 0.75 // above this part of it, two heads are one

	headsLayers = 8  // that are looked at, spread over all
	headsPairs  = 16 // pairs of heads of each
)

// headsCheck tells the width of the heads from the weights. While a model is trained, the products of rows of the query matrix of one head and
// those of the key matrix of the same head grow in step (their difference does not change under gradient descent, and only decays). So the
// products are correlated inside of a head, and not beyond it.
var headsCheck = check{
	id: idHeads, level: verify.LevelStandard, after: []string{idHeaders, idValues},
	proves: "In an encoder, queries and keys go together in heads of the declared width.",
	about:  isEncoder,
	run:    compareHeads,
}

// isEncoder says whether the model can be loaded and sees texts as a whole: it predicts nothing that another reading could be better at.
func isEncoder(ctx context.Context, m *model) bool {
	return m.load(ctx) == nil && m.decoder.described().Bidirectional
}

type headsEvidence struct {
	Heads  int `json:"heads"`
	Layers int `json:"layers"` // that were looked at
	// Inside is the correlation of products of rows in the same half of a head, Halves that of rows in the two halves of one, and
	// Beyond that of rows of two heads side by side; to 3 decimals.
	Inside float64 `json:"inside"`
	Halves float64 `json:"halves"`
	Beyond float64 `json:"beyond"`
}

// agreement adds up pairs of products whose mean is nought.
type agreement struct {
	xy, xx, yy float64
	n          int
}

func (a *agreement) add(x, y float64) { a.xy, a.xx, a.yy, a.n = a.xy+x*y, a.xx+x*x, a.yy+y*y, a.n+1 }

func (a *agreement) correlation() float64 {
	if a.xx == 0 || a.yy == 0 {
		return 0
	}
	return a.xy / math.Sqrt(a.xx*a.yy)
}

// errors returns how many standard errors x is, as a difference of correlations.
func (a *agreement) errors(x float64) float64 { return x * math.Sqrt(float64(a.n)) }

// headProducts are the products of rows of queries beside those of keys, by where the two rows lie.
type headProducts struct {
	inside, halves, beyond agreement
}

// add takes the products of rows of heads that lie one after the other, of queries and of keys; row i has those with the rows before it.
func (p *headProducts) add(queries, keys [][]float64, width int) {
	for i := range queries {
		for j := range i {
			to := &p.inside
			switch {
			case i/width != j/width:
				to = &p.beyond
			case i%width/(width/2) != j%width/(width/2):
				to = &p.halves
			}
			to.add(queries[i][j], keys[i][j])
		}
	}
}

// judge says whether the products are those of heads of the declared width.
func (p *headProducts) judge(ev headsEvidence) finding {
	in, half, out := p.inside.correlation(), p.halves.correlation(), p.beyond.correlation()
	ev.Inside, ev.Halves, ev.Beyond = decimals(in, 3), decimals(half, 3), decimals(out, 3)
	switch {
	case in < headsCoupled || p.inside.errors(in) < headsErrors:
		return excusedWith(ev, "queries and keys are not coupled enough to tell heads by")
	case half < headsHalf*in && p.halves.errors(in-half) > headsErrors:
		return failed(ev, "the weights are of more and narrower heads than the %d declared ones: the halves of a head have nothing to do with each other", ev.Heads)
	case out > headsTwice*in && p.beyond.errors(out) > headsErrors:
		return failed(ev, "the weights are of fewer and wider heads than the %d declared ones: two heads side by side go together as rows of one do", ev.Heads)
	}
	return passed(ev)
}

func compareHeads(ctx context.Context, m *model) (finding, error) {
	d := m.decoder.described()
	if d.Heads < 1 || d.KVHeads != d.Heads {
		return excused("%d heads share %d heads of keys", d.Heads, d.KVHeads), nil
	}
	k, err := m.openAs(ctx, nil, false)
	if err != nil {
		return finding{}, err
	}
	defer k.close()
	var seen headProducts
	ev := headsEvidence{Heads: d.Heads}
	r := k.readers[0]
	for i := range min(r.Layers(), headsLayers) {
		list, err := r.Layer(ctx, i*r.Layers()/min(r.Layers(), headsLayers))
		if err != nil {
			return finding{}, err
		}
		q, key := roleOf(list, "q"), roleOf(list, "k")
		if q == nil || key == nil || q.Rows != key.Rows || q.Cols != key.Cols || q.Rows%d.Heads != 0 || q.Rows/d.Heads < 2 {
			continue // read in another way, or of another kind
		}
		width := q.Rows / d.Heads
		for p := range min(max(d.Heads/2, 1), headsPairs) {
			queries, err := products(q, 2*p*width, min(2, d.Heads)*width)
			if err != nil {
				return finding{}, err
			}
			keys, err := products(key, 2*p*width, min(2, d.Heads)*width)
			if err != nil {
				return finding{}, err
			}
			seen.add(queries, keys, width)
		}
		ev.Layers++
	}
	return seen.judge(ev), nil
}

// products returns the cosines of n rows of a matrix from the given one on, with each other.
func products(w *inference.Weight, from, n int) ([][]float64, error) {
	rows := make([][]float32, n)
	norms := make([]float64, n)
	for i := range rows {
		rows[i] = make([]float32, w.Cols)
		if err := w.Row(from+i, rows[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", w.Role, err)
		}
		norms[i] = math.Sqrt(dot(rows[i], rows[i]))
	}
	out := make([][]float64, n)
	for i := range rows {
		out[i] = make([]float64, i)
		for j := range i {
			if n := norms[i] * norms[j]; n > 0 {
				out[i][j] = dot(rows[i], rows[j]) / n
			}
		}
	}
	return out, nil
}

func dot(a, b []float32) float64 {
	var sum float64
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// roleOf returns the weight of a layer whose role ends in the name given, nil when there is none.
func roleOf(list []*inference.Weight, name string) *inference.Weight {
	for _, w := range list {
		if lastRole(w.Role) == name {
			return w
		}
	}
	return nil
}
