package check

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// The checks against the version before never fail: a version may be another
// model on purpose. They warn of what a user of the model would want to know.
var (
	regressionTensorsCheck = check{
		id: idRegressionTensors, level: verify.LevelStandard, after: []string{idHeaders},
		proves: "Architecture, shapes and tokenizer are those of the version before.",
		about:  func(_ context.Context, m *model) bool { return m.opts.Previous != nil },
		run:    regressShapes,
	}
	regressionOutputsCheck = check{
		id: idRegressionOutputs, level: verify.LevelStandard, after: []string{idPerplexity},
		proves: "The model predicts text no worse than the version before.",
		about:  func(_ context.Context, m *model) bool { return m.opts.Previous != nil },
		run:    compareOutputs,
	}
)

// worse is how many times the perplexity of the version before a version may
// have: types with fewer bits cost some, a change of the files alone nothing.
const (
	worse        = 1.05
	worseRetyped = 1.25
)

type regressionShapes struct {
	Previous *registry.Digest `json:"previous,omitempty"`
	Changed  []changeEvidence `json:"changed,omitempty"`
}

type changeEvidence struct {
	What   string `json:"what"`
	Before string `json:"before"`
	Now    string `json:"now"`
}

type outputsEvidence struct {
	Previous *registry.Digest `json:"previous,omitempty"`
	Before   float64          `json:"before"` // perplexity
	Now      float64          `json:"now"`
	Ratio    float64          `json:"ratio"`
	Limit    float64          `json:"limit"` // of the ratio
}

// evidenceOf decodes the evidence of one model's result in a report. ok is false when the report has
// none, as after a failure or with a later form of the evidence.
func evidenceOf(r *verify.Report, id, file string, to any) (ok bool) {
	for _, x := range r.Results {
		if x.ID == id && x.File == file && len(x.Evidence) > 0 {
			return json.Unmarshal(x.Evidence, to) == nil
		}
	}
	return false
}

func regressShapes(_ context.Context, m *model) (finding, error) {
	var before, now structureEvidence
	p := m.opts.Previous
	if !evidenceOf(p, idHeaders, m.part.name, &before) || !evidenceOf(m.report, idHeaders, m.part.name, &now) {
		return excused("the version before has no such model"), nil
	}
	ev := regressionShapes{Previous: p.Subject}
	for _, c := range []struct {
		what        string
		before, now any
	}{
		{"architecture", before.Architecture, now.Architecture},
		{"format", before.Format, now.Format},
		{"quantization", before.Quantization, now.Quantization},
		{"parameters", before.Parameters, now.Parameters},
		{"tensors", before.Tensors, now.Tensors},
		{"layers", before.Layers, now.Layers},
		{"hidden size", before.HiddenSize, now.HiddenSize},
		{"heads", before.Heads, now.Heads},
		{"context length", before.ContextLength, now.ContextLength},
		{"vocabulary", cmp.Or(before.VocabSize, before.EmbeddingRows), cmp.Or(now.VocabSize, now.EmbeddingRows)},
		{"tokens of the tokenizer", before.Tokens, now.Tokens},
	} {
		if c.before != c.now {
			ev.Changed = append(ev.Changed, changeEvidence{c.what, storable(fmt.Sprint(c.before)), storable(fmt.Sprint(c.now))})
		}
	}
	ev.Changed = append(ev.Changed, retokenized(m)...)
	var sentences []string
	for _, c := range ev.Changed {
		switch c.What {
		case "format", "quantization", "tensors", "parameters": // other forms of the same model differ in these
		default:
			sentences = append(sentences, fmt.Sprintf("%s was %s, now %s", c.What, c.Before, c.Now))
		}
	}
	if len(sentences) > 0 {
		return warned(ev, "%s", listed(sentences)), nil
	}
	return passed(ev), nil
}

// retokenized says whether the texts of the round trip have other numbers of tokens than before.
func retokenized(m *model) []changeEvidence {
	var before, now tokenizerEvidence
	if !evidenceOf(m.opts.Previous, idRoundTrip, m.part.name, &before) || !evidenceOf(m.report, idRoundTrip, m.part.name, &now) {
		return nil
	}
	tokens := map[string]int{}
	for _, t := range before.Texts {
		tokens[t.Name] = t.Tokens
	}
	for _, t := range now.Texts {
		if n, ok := tokens[t.Name]; ok && n != t.Tokens {
			return []changeEvidence{{"tokens of the text " + t.Name, fmt.Sprint(n), fmt.Sprint(t.Tokens)}}
		}
	}
	return nil
}

func compareOutputs(_ context.Context, m *model) (finding, error) {
	var before, now perplexityEvidence
	p := m.opts.Previous
	if !evidenceOf(m.report, idPerplexity, m.part.name, &now) || len(now.Texts) == 0 {
		return excused("the model has no perplexity"), nil
	}
	if !evidenceOf(p, idPerplexity, m.part.name, &before) || len(before.Texts) == 0 {
		return excused("the version before has no perplexity"), nil
	}
	earlier, later, ok := sameText(before, now)
	if !ok {
		return excused("the version before was measured on other tokens"), nil
	}
	ev := outputsEvidence{
		Previous: p.Subject, Before: earlier.Perplexity, Now: later.Perplexity, Ratio: rounded(later.Perplexity / earlier.Perplexity), Limit: worse,
	}
	var was, is structureEvidence
	if evidenceOf(p, idHeaders, m.part.name, &was) && evidenceOf(m.report, idHeaders, m.part.name, &is) && was.Quantization != is.Quantization {
		ev.Limit = worseRetyped
	}
	if ev.Ratio > ev.Limit {
		return warned(ev, "perplexity was %.4g in the version before, now it is %.4g", ev.Before, ev.Now), nil
	}
	return passed(ev), nil
}

// sameText returns what two versions made of the first text that both were measured on, with the same tokens.
func sameText(before, now perplexityEvidence) (earlier, later textSurprise, ok bool) {
	for _, b := range before.Texts {
		for _, n := range now.Texts {
			if b.Name == n.Name && b.Begins == n.Begins && b.Tokens == n.Tokens && before.Window == now.Window && b.Perplexity > 0 && n.Perplexity > 0 {
				return b, n, true
			}
		}
	}
	return textSurprise{}, textSurprise{}, false
}
