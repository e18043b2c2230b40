package check

import (
	"context"
	"fmt"
	"slices"

	"github.com/carat-hub/carat/verify"
)

// duplicatesCheck looks for matrices that are there twice.
var duplicatesCheck = check{
	id: idDuplicates, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "No two layers have the same matrix.",
	run:    findDuplicates,
}

type duplicatesEvidence struct {
	Matrices int             `json:"matrices"` // of the layers
	Twice    int             `json:"twice"`    // matrices that are the same as an earlier one
	Pairs    []duplicatePair `json:"pairs,omitempty"`
}

type duplicatePair struct {
	Name   string `json:"name"`
	SameAs string `json:"sameAs"`
}

// leastMatrix is how many elements a matrix has that can hardly be the same as another one by chance.
const leastMatrix = 1024

func findDuplicates(ctx context.Context, m *model) (finding, error) {
	all, err := m.measured(ctx)
	if err != nil {
		return finding{}, err
	}
	byName := map[string]*measuredTensor{}
	perLayer := map[int]int{}
	for _, t := range all {
		byName[t.name] = t
		if t.layer >= 0 && t.matrix() {
			perLayer[t.layer]++
		}
	}
	var ev duplicatesEvidence
	var pairs [][2]*measuredTensor
	shared := map[[2]int]int{} // matrices that two layers share
	for _, n := range perLayer {
		ev.Matrices += n
	}
	for _, t := range all {
		other := byName[t.sameAs]
		if t.sameAs == "" || other == nil || !t.matrix() || t.elements < leastMatrix || t.constant() {
			continue
		}
		ev.Twice++
		if len(ev.Pairs) < maxNamed {
			ev.Pairs = append(ev.Pairs, duplicatePair{storable(t.name), storable(other.name)})
		}
		if t.layer >= 0 && other.layer >= 0 {
			pairs = append(pairs, [2]*measuredTensor{t, other})
			shared[[2]int{t.layer, other.layer}]++
		}
	}
	var wrong, odd []string
	repeated := map[int]bool{}
	few := max(2, ev.Matrices/20)
	for _, p := range pairs {
		t, other := p[0], p[1]
		switch layers := [2]int{t.layer, other.layer}; {
		case t.layer != other.layer && shared[layers] == perLayer[t.layer]:
			// Some merges repeat whole layers.
			if !repeated[t.layer] {
				odd = append(odd, fmt.Sprintf("layer %d is the same as layer %d", t.layer, other.layer))
			}
			repeated[t.layer] = true
		case t.layer == other.layer || len(pairs) > few:
			odd = append(odd, fmt.Sprintf("matrix %q is the same as %q", t.name, other.name))
		default:
			wrong = append(wrong, fmt.Sprintf("matrix %q is the same as %q", t.name, other.name))
		}
	}
	return verdict(ev, slices.Compact(wrong), slices.Compact(odd)), nil
}
