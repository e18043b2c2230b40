//go:build (amd64 || arm64) && !purego

package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPanels compares the products of a panel with every number of vectors that there is a kernel for, and those of more vectors.
func TestPanels(t *testing.T) {
	t.Parallel()
	for _, e := range vectorEngines() {
		e := e.(*vector)
		t.Run(e.name(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 6))
			for n := 1; n <= 2*len(e.panels)+1; n++ {
				for cols := 1; cols <= 13; cols++ {
					stride := cols + r.IntN(4)
					panel, x := unaligned(random(r, cols*panelRows)), random(r, n*stride)
					before := random(r, n*panelRows)
					got := unaligned(slices.Clone(before))
					e.multiplyPanel(panel, cols, unaligned(x), stride, n, got)
					for v := range n {
						for row := range panelRows {
							weights := make([]float32, cols)
							for c := range weights {
								weights[c] = panel[c*panelRows+row]
							}
							vector, was := x[v*stride:][:cols], before[v*panelRows+row]
							if want := was + Dot(weights, vector); !near(want, got[v*panelRows+row], magnitude(weights, vector)+float64(max(was, -was))) {
								t.Fatalf("%d vectors, %d columns: row %d of vector %d is %v, want %v", n, cols, row, v, got[v*panelRows+row], want)
							}
						}
					}
				}
			}
		})
	}
}
