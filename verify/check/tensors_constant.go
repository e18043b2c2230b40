package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/carat-hub/carat/verify"
)

// constantsCheck looks for tensors whose values are all the same.
var constantsCheck = check{
	id: idConstants, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "No matrix has the same value everywhere, and no layer has the weights of an untrained norm among trained ones.",
	run:    findConstants,
}

type constantsEvidence struct {
	Constant int             `json:"constant"` // tensors
	Tensors  []constantValue `json:"tensors,omitempty"`
}

type constantValue struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func findConstants(ctx context.Context, m *model) (finding, error) {
	all, err := m.measured(ctx)
	if err != nil {
		return finding{}, err
	}
	var ev constantsEvidence
	var wrong, odd []string
	for _, t := range all {
		if !t.constant() {
			continue
		}
		ev.Constant++
		if len(ev.Tensors) < maxNamed {
			ev.Tensors = append(ev.Tensors, constantValue{storable(t.name), rounded(t.min)})
		}
		if t.matrix() && t.min != 0 { // zeros are the values check's
			sentence := fmt.Sprintf("tensor %q is %.4g everywhere", t.name, t.min)
			if strings.HasSuffix(t.name, "weight") {
				wrong = append(wrong, sentence)
			} else {
				odd = append(odd, sentence)
			}
		}
	}
	w, o := untrainedNorms(all)
	wrong, odd = append(wrong, w...), append(odd, o...)
	return verdict(ev, wrong, odd), nil
}

// untrainedNorms says which weights of norms have one value while others do not. Where all have, a conversion may have put
// them into the matrices that follow.
func untrainedNorms(all []*measuredTensor) (wrong, odd []string) {
	trained, still := 0, 0
	for _, t := range all {
		switch {
		case !t.norm() || !t.sound():
		case t.constant():
			still++
		default:
			trained++
		}
	}
	if still == 0 {
		return nil, nil
	}
	if trained == 0 {
		return nil, []string{fmt.Sprintf("all %d norms are constant, as before training", still)}
	}
	for _, f := range familiesOf(all) {
		var constant []*measuredTensor
		for _, t := range f.members {
			if t.norm() && t.constant() {
				constant = append(constant, t)
			}
		}
		switch rest := len(f.members) - len(constant); {
		case len(constant) == 0:
		case rest >= 2 && rest > len(constant):
			for _, t := range constant {
				wrong = append(wrong, fmt.Sprintf("norm %q is %.4g everywhere, those of the other layers are not", t.name, t.min))
			}
		default:
			odd = append(odd, fmt.Sprintf("norms %q are constant in %d of %d layers", f.kind, len(constant), len(f.members)))
		}
	}
	for _, t := range all {
		if t.layer < 0 && t.norm() && t.constant() && trained > still {
			odd = append(odd, fmt.Sprintf("norm %q is %.4g everywhere, others are not", t.name, t.min))
		}
	}
	return wrong, odd
}

// verdict is failed when something is wrong, warned when something is only odd.
func verdict(evidence any, wrong, odd []string) finding {
	switch {
	case len(wrong) > 0:
		return failed(evidence, "%s", storableList(wrong))
	case len(odd) > 0:
		return finding{outcome: verify.OutcomeWarned, reason: storableList(odd), evidence: evidence}
	}
	return passed(evidence)
}

// storableList joins sentences that have names from a model in them.
func storableList(sentences []string) string {
	var some []string
	for _, s := range sentences[:min(len(sentences), maxNamed)] {
		some = append(some, storable(s))
	}
	return listed(append(some, sentences[len(some):]...))
}
