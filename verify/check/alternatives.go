package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// Bounds of the search for a better reading.
const (
	alternativeStep = 32 // tokens after which an alternative that is no better is given up
	// alternativeDoubt is how many standard errors worse it must be for that.
	alternativeDoubt = 2
	// alternativeTokens is how many tokens of the text are predicted at most, and alternativeFew by a model so large that this takes
	// time.
	alternativeTokens, alternativeFew = 1024, 96
	// alternativeWork bounds the search: tokens times parameters, of all alternatives together. It is some 25 s on two cores.
	// Every model has at least alternativeLeast tokens.
	alternativeWork  = 1e12
	alternativeLeast = 900
	// A better reading is one whose tokens take less by this part of the bits, and by so many standard errors of the mean difference
	// of the tokens: the difference is then neither small nor chance, also as the largest of a hundred. Layers change places at a
	// smaller gain: that is no choice that anybody makes.
	alternativeGain, swapGain = 0.03, 0.01
	alternativeErrors         = 4
	// smallDepth is up to how many layers every pair is swapped.
	smallDepth = 8
)

// alternativesCheck asks whether another reading of the same weights is the better one.
var alternativesCheck = check{
	id: idAlternatives, level: verify.LevelStandard, after: []string{idOutputs},
	proves: "No other rope base, head count, norm epsilon or order of layers than the declared one predicts text better, and every layer helps.",
	run:    findBetter,
}

type alternativesEvidence struct {
	Text   string  `json:"text"`
	Tokens int     `json:"tokens"` // predicted, by the model as it is declared
	Bits   float64 `json:"bits"`   // per token, as declared; rounded
	Tried  int     `json:"tried"`
	// Left is how many alternatives there was no budget for.
	Left int `json:"left,omitempty"`
	// Best are the alternatives that took the least bits, best first.
	Best []alternative `json:"best"`
}

// alternative is another reading and what came of it.
type alternative struct {
	What   string  `json:"what"`
	Tokens int     `json:"tokens"` // after which it was given up, or all
	Gain   float64 `json:"gain"`   // bits per token that it takes less; to 3 decimals
	Errors float64 `json:"errors"` // the gain in standard errors; to 1 decimal

	reading inference.Alteration
	kind    string  // what is wrong if it is better
	least   float64 // the part of the bits that it must take less to be better
}

func findBetter(ctx context.Context, m *model) (finding, error) {
	facts, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if facts.Task != "" && facts.Task != inference.TextGeneration {
		return excused("a model for %s predicts no text", facts.Task), nil
	}
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	at := slices.IndexFunc(samples, func(s sample) bool { return s.name == m.best })
	if at < 0 {
		at = 0
	}
	ids := tok.Encode(samples[at].text, true)
	budget := math.Inf(1)
	if m.opts.Level != verify.LevelFull {
		budget = max(alternativeLeast, alternativeWork/float64(max(1, facts.Parameters)))
	}
	most := min(alternativeTokens, max(alternativeFew, int(min(budget/50, alternativeTokens))))
	t := trial{ids: ids[:min(len(ids), most)], window: perplexityWindow}
	if n := facts.ContextLength; n > 0 {
		t.window = min(t.window, n)
	}
	if err := t.declare(ctx, m.decoder); err != nil {
		return finding{}, err
	}
	bits := mean(t.declared) / math.Ln2
	ev := alternativesEvidence{Text: samples[at].name, Tokens: len(t.declared), Bits: rounded(bits), Best: []alternative{}}
	list := alternatives(m.decoder.described())
	for i, a := range list {
		if budget < alternativeStep {
			ev.Left = len(list) - i
			break
		}
		var unsupported *fault.Unsupported
		other, err := m.decoder.altered(a.reading)
		if errors.As(err, &unsupported) {
			continue
		}
		if err != nil {
			return finding{}, err
		}
		if err := a.compare(ctx, other, t); err != nil {
			return finding{}, err
		}
		budget -= float64(a.Tokens)
		ev.Tried++
		ev.Best = append(ev.Best, a)
	}
	return judgeAlternatives(ev, bits), nil
}

// judgeAlternatives fails a model that another reading makes better.
func judgeAlternatives(ev alternativesEvidence, bits float64) finding {
	const shown = 5
	slices.SortStableFunc(ev.Best, func(a, b alternative) int { return cmp.Compare(b.Gain, a.Gain) })
	ev.Best = ev.Best[:min(len(ev.Best), shown)]
	for _, a := range ev.Best {
		if a.Gain > a.least*bits && a.Errors > alternativeErrors {
			return failed(ev, "%s: with %s a token takes %.3g bits and not %.3g (%.3g standard errors)", a.kind, a.What, bits-a.Gain, bits, a.Errors)
		}
	}
	return passed(ev)
}

// alternatives are the readings to try, the likeliest mistakes first.
func alternatives(d *inference.Description) []alternative {
	var list []alternative
	add := func(kind, what string, a inference.Alteration) {
		list = append(list, alternative{kind: kind, What: what, reading: a, least: alternativeGain})
	}
	if declared := d.RopeBase(); declared > 0 {
		for _, base := range []float64{1e4, 1e6, 5e5, 1e5, 1e3, 1e7} {
			if r := base / declared; r > 1.5 || r < 1/1.5 {
				add("the rope base is wrong", fmt.Sprintf("a rope base of %g", base), inference.Alteration{RopeBase: base})
			}
		}
	}
	for _, heads := range []int{2 * d.Heads, d.Heads / 2, 4 * d.Heads, d.Heads / 4} {
		if heads > 0 {
			add("the number of heads is wrong", fmt.Sprintf("%d heads in place of %d", heads, d.Heads), inference.Alteration{Heads: heads})
		}
	}
	for _, eps := range []float32{1e-6, 1e-5, 1e-12} {
		if r := eps / d.NormEpsilon; r > 1.5 || r < 1/1.5 {
			add("the norm epsilon is wrong", fmt.Sprintf("a norm epsilon of %g", eps), inference.Alteration{Epsilon: eps})
		}
	}
	if d.Layers < 2 {
		return list
	}
	for _, p := range swaps(d.Layers) {
		order := inOrder(d.Layers)
		order[p[0]], order[p[1]] = order[p[1]], order[p[0]]
		add("layers are in the wrong order", fmt.Sprintf("layers %d and %d swapped", p[0], p[1]), inference.Alteration{Layers: order})
		list[len(list)-1].least = swapGain
	}
	for l := range d.Layers {
		add("a layer does harm", fmt.Sprintf("layer %d left out", l), inference.Alteration{Layers: slices.Delete(inOrder(d.Layers), l, l+1)})
	}
	return list
}

func inOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// swaps are pairs of layers: neighbours first, and all of a model with few layers.
func swaps(layers int) [][2]int {
	var list [][2]int
	for apart := 1; apart < layers; apart++ {
		if apart > 1 && layers > smallDepth {
			break
		}
		for i := 0; i+apart < layers; i++ {
			list = append(list, [2]int{i, i + apart})
		}
	}
	return list
}

// trial is the text that readings are compared on.
type trial struct {
	ids      []int
	window   int       // tokens that are seen at once
	declared []float64 // what each token but the first of a window takes as the model is declared, in nats
}

// windows are the parts of the text that are seen at once.
func (t trial) windows() [][]int {
	var list [][]int
	for part := range slices.Chunk(t.ids, t.window) {
		if len(part) > 1 {
			list = append(list, part)
		}
	}
	return list
}

func (t *trial) declare(ctx context.Context, d decoder) error {
	for _, part := range t.windows() {
		each, _, err := surprises(ctx, d, part)
		if err != nil {
			return err
		}
		t.declared = append(t.declared, each...)
	}
	return nil
}

// compare runs an alternative on the text, step by step for as long as it might be the better one.
func (a *alternative) compare(ctx context.Context, other decoder, t trial) error {
	var gains []float64 // nats
	for _, part := range t.windows() {
		better, err := a.window(ctx, other, part, t.declared, &gains)
		if err != nil {
			return fmt.Errorf("run the text with %s: %w", a.What, err)
		}
		if !better {
			break
		}
	}
	a.conclude(gains)
	return nil
}

// window adds the gains in one part of the text. better is false once they are losses on the whole.
func (a *alternative) window(ctx context.Context, other decoder, ids []int, declared []float64, gains *[]float64) (better bool, err error) {
	s := other.session(len(ids))
	defer s.Close()
	for at := 0; at+1 < len(ids); at += alternativeStep {
		next := ids[at:min(at+alternativeStep, len(ids)-1)]
		err := s.EvalEach(ctx, next, 0, func(i int, logits []float32) error {
			*gains = append(*gains, declared[len(*gains)]-surprise(logits, ids[at+i+1]))
			return nil
		})
		if err != nil {
			return false, err
		}
		if m := mean(*gains); !(m*math.Sqrt(float64(len(*gains))) > -alternativeDoubt*deviation(*gains)) {
			return false, nil
		}
	}
	return true, nil
}

func (a *alternative) conclude(gains []float64) {
	gain, spread := mean(gains)/math.Ln2, deviation(gains)/math.Ln2
	a.Tokens = len(gains)
	if math.IsNaN(gain) || math.IsInf(gain, 0) || spread == 0 {
		return // as bad as can be, or no other
	}
	a.Gain = math.Round(gain*1000) / 1000
	a.Errors = math.Round(gain/spread*math.Sqrt(float64(len(gains)))*10) / 10
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// deviation is the standard deviation of a sample.
func deviation(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(v)-1))
}
