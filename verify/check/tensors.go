package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// maxNamed is how many tensors the evidence names.
const maxNamed = 16

// valuesCheck reads every weight once.
var valuesCheck = check{
	id: idValues, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "No weight is NaN or infinite, and no matrix is all zero.",
	run:    readValues,
}

type tensorsEvidence struct {
	Tensors    int      `json:"tensors"`
	Elements   int64    `json:"elements"`
	NaN        int64    `json:"nan"`
	Inf        int64    `json:"inf"`
	Zero       int64    `json:"zero"`                 // elements
	AllZero    []string `json:"allZero,omitempty"`    // tensors, the first few
	NotFinite  []string `json:"notFinite,omitempty"`  // tensors, the first few
	NotDecoded []string `json:"notDecoded,omitempty"` // element types that cannot be read here
	MaxAbs     float64  `json:"maxAbs"`               // rounded to 4 digits
}

func readValues(ctx context.Context, m *model) (finding, error) {
	var ev tensorsEvidence
	var wrong []string
	all, err := m.measured(ctx)
	if err != nil {
		return finding{}, err
	}
	for _, t := range all {
		wrong = append(wrong, ev.add(t)...)
	}
	ev.MaxAbs = rounded(ev.MaxAbs)
	switch {
	case len(wrong) > 0:
		return failed(ev, "%s", listed(wrong)), nil
	case len(ev.NotDecoded) > 0:
		return finding{evidence: ev}, fault.NewUnsupported("tensor type", "%s", strings.Join(ev.NotDecoded, ", "))
	}
	return passed(ev), nil
}

// add counts one tensor and returns what is wrong with it.
func (ev *tensorsEvidence) add(s *measuredTensor) []string {
	ev.Tensors++
	if s.skipped != "" {
		ev.NotDecoded = addNamed(ev.NotDecoded, s.dtype)
		return nil
	}
	ev.Elements += s.elements
	ev.NaN += s.nan
	ev.Inf += s.inf
	ev.Zero += s.zero
	ev.MaxAbs = max(ev.MaxAbs, s.maxAbs())
	if s.nan+s.inf > 0 {
		ev.NotFinite = addNamed(ev.NotFinite, s.name)
		return []string{fmt.Sprintf("tensor %q has %d NaN and %d infinite values", s.name, s.nan, s.inf)}
	}
	if s.zero < s.elements || s.elements == 0 {
		return nil
	}
	ev.AllZero = addNamed(ev.AllZero, s.name)
	if rows(s.shape) < 2 {
		return nil // a bias may well be zero, and the only token type of a RoBERTa is
	}
	return []string{fmt.Sprintf("tensor %q is all zero", s.name)}
}

// rows returns how many vectors a tensor is made of.
func rows(shape []int) int {
	n := 1
	for _, d := range shape[:max(0, len(shape)-1)] {
		n = max(n, d)
	}
	return n
}

// addNamed adds a name that is not there yet, while there is room.
func addNamed(list []string, name string) []string {
	if len(list) < maxNamed && !slices.Contains(list, name) {
		list = append(list, name)
	}
	return list
}
