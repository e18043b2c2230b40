package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// generated is how many tokens the run check generates.
const generated = 16

// topLogits is how many of the largest logits the evidence holds.
const topLogits = 5

// outputsCheck loads the model and lets it write, twice, or encode texts where it is for that.
var outputsCheck = check{
	id: idOutputs, level: verify.LevelQuick, after: []string{idHeaders, idShapes, idValues, idRoundTrip},
	proves: "The model loads and runs: its outputs are finite, tell tokens apart, neither by nothing nor by all, and are the same each time.",
	run:    outputs,
}

type runEvidence struct {
	Prompt    string       `json:"prompt"`
	PromptIDs []int        `json:"promptIds"`
	Text      string       `json:"text"` // what the model wrote after the prompt
	IDs       []int        `json:"ids"`  // of that text; greedy
	Top       []tokenLogit `json:"top"`  // after the prompt, largest first
	// Entropy is that of the next token, over all positions of prompt and text, as a part of the most that there can be; to 3 decimals.
	Entropy float64 `json:"entropy"`
	// Distinct is how many different tokens the model wrote.
	Distinct int `json:"distinct"`
}

type tokenLogit struct {
	ID    int     `json:"id"`
	Text  string  `json:"text"`
	Logit float64 `json:"logit"` // rounded to 4 digits
}

func outputs(ctx context.Context, m *model) (finding, error) {
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	facts, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if writes := facts.Task == "" || facts.Task == inference.TextGeneration; !writes {
		return encodes(ctx, m, tok, facts.Task)
	}
	ids := tok.Encode(prompt, true)
	if len(ids) == 0 {
		return failed(nil, "the prompt has no tokens"), nil
	}
	n, err := m.contextLength(ctx)
	if err != nil {
		return finding{}, err
	}
	if n > 0 && len(ids)+generated > n {
		return finding{}, &cannotRunError{fmt.Sprintf("context length of %d tokens is too short for %d", n, len(ids)+generated)}
	}
	first, bad, err := greedy(ctx, m, ids)
	if err != nil {
		return finding{}, err
	}
	for i, t := range first.top {
		first.top[i].Text = storable(tok.Decode([]int{t.ID}))
	}
	ev := runEvidence{
		Prompt: prompt, PromptIDs: ids, Text: storable(tok.Decode(first.ids)), IDs: first.ids, Top: first.top,
		Entropy: decimals(mean(first.entropies), 3), Distinct: len(distinct(first.ids)),
	}
	if bad != "" {
		return failed(ev, "%s", bad), nil
	}
	second, bad, err := greedy(ctx, m, ids)
	switch {
	case err != nil:
		return finding{}, err
	case bad != "":
		return failed(ev, "the second run differs from the first: %s", bad), nil
	case !slices.Equal(first.ids, second.ids) || !slices.Equal(first.last, second.last):
		return failed(ev, "two runs on the same prompt differ"), nil
	}
	return judgeSpread(ev), nil
}

// Bounds of the mean entropy. Models that were trained have 0.1 to 0.7 on plain text; the smallest come close to the upper bound.
const (
	uniformEntropy   = 0.95
	collapsedEntropy = 0.002
)

// judgeSpread fails a model that tells tokens apart by hardly anything, or that knows but one.
func judgeSpread(ev runEvidence) finding {
	switch {
	case ev.Entropy > uniformEntropy:
		return failed(ev, "all tokens are nearly equally likely: the entropy is %.3g of the most that there can be", ev.Entropy)
	case ev.Entropy < collapsedEntropy && ev.Distinct == 1:
		return failed(ev, "the model knows but one token: the entropy is %.3g of the most that there can be", ev.Entropy)
	case ev.Distinct == 1:
		return warned(ev, "the model writes the same token again and again")
	}
	return passed(ev)
}

func distinct(ids []int) map[int]bool {
	seen := map[int]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	return seen
}

// entropy is that of the distribution which logits stand for, as a part of the most that it can be.
func entropy(logits []float32) float64 {
	if len(logits) < 2 {
		return 0
	}
	all, sum := logSum(logits), 0.0
	for _, v := range logits {
		l := float64(v) - all
		sum -= math.Exp(l) * l
	}
	return sum / math.Log(float64(len(logits)))
}

// generation is one greedy run.
type generation struct {
	ids  []int
	top  []tokenLogit
	last []float32 // logits before the last token

	entropies []float64 // of the next token, at each position
}

// greedy feeds the prompt and takes the most likely token again and again.
// bad says what is wrong with the logits.
func greedy(ctx context.Context, m *model, ids []int) (g generation, bad string, err error) {
	s, err := m.session(ctx, len(ids)+generated)
	if err != nil {
		return g, "", err
	}
	defer s.Close()
	next := ids
	for step := range generated {
		fed := len(ids) + step - len(next) // tokens before next
		err := s.EvalEach(ctx, next, 0, func(i int, logits []float32) error {
			if bad == "" {
				if bad = judgeLogits(logits); bad != "" {
					bad = fmt.Sprintf("%s after %d tokens", bad, fed+i+1)
				}
			}
			g.last = append(g.last[:0], logits...)
			g.entropies = append(g.entropies, entropy(logits))
			return nil
		})
		if err != nil {
			return g, "", fmt.Errorf("run token %d: %w", step, err)
		}
		if bad != "" {
			return g, bad, nil
		}
		if step == 0 {
			g.top = largest(g.last, topLogits)
		}
		best := argmax(g.last)
		g.ids = append(g.ids, best)
		next = []int{best}
	}
	return g, "", nil
}

// judgeLogits says what is wrong with the scores of the next token.
func judgeLogits(logits []float32) string {
	if len(logits) == 0 {
		return "there are no outputs"
	}
	low, high := logits[0], logits[0]
	for i, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Sprintf("output %d is %v", i, v)
		}
		low, high = min(low, v), max(high, v)
	}
	if low == high {
		return "all outputs are equal"
	}
	return ""
}

// argmax returns the lowest index of the largest value.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}

func largest(logits []float32, n int) []tokenLogit {
	all := make([]int, len(logits))
	for i := range all {
		all[i] = i
	}
	slices.SortFunc(all, func(a, b int) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b)) })
	var top []tokenLogit
	for _, id := range all[:min(n, len(all))] {
		top = append(top, tokenLogit{ID: id, Logit: rounded(float64(logits[id]))})
	}
	return top
}

// rounded keeps four digits, so that evidence does not depend on the order in
// which sums were made.
func rounded(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	// By way of text, as a power of ten to scale by can be out of range.
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	if err != nil { // rounded beyond the largest number
		return v
	}
	return short
}
