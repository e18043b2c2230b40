package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// Bounds of the perplexity check.
const (
	perplexityWindow = 256 // tokens that are seen at once, at most
	perplexityTokens = 384 // tokens of the first text that are used, at most
	furtherTokens    = 128 // tokens of each further text
	// brokenShare and poorShare are of what guessing would take, every token equally likely. A model that only knew how often tokens
	// come up would need some 0.8 of it, one that knows nothing at least all of it.
	brokenShare = 0.85
	poorShare   = 0.75
	// coverage is which part of the text per token that the tokenizer has of its best language another language must have to be
	// taken for one that the model was made for, where the card names none.
	coverage = 0.75
)

// perplexityCheck lets the model predict texts.
var perplexityCheck = check{
	id: idPerplexity, level: verify.LevelQuick, after: []string{idOutputs},
	proves: "The model predicts plain text far better than chance, in its languages.",
	run:    predict,
}

type perplexityEvidence struct {
	// Chance is how many tokens there are to guess from.
	Chance int `json:"chance"`
	Window int `json:"window"` // tokens seen at once, at most
	// Declared are the languages of the card.
	Declared []string       `json:"declared,omitempty"`
	Texts    []textSurprise `json:"texts"`
}

// textSurprise is how well a text was predicted. Bits are those that each byte of it takes, which compares across vocabularies.
type textSurprise struct {
	Name       string  `json:"name"`
	Begins     string  `json:"begins"`
	Tokens     int     `json:"tokens"`     // predicted
	Perplexity float64 `json:"perplexity"` // rounded to 4 digits; 0 when it is not finite
	Bits       float64 `json:"bitsPerByte"`
	// Share is the bits per token over those of guessing; 1 is chance.
	Share float64 `json:"share"`
}

func predict(ctx context.Context, m *model) (finding, error) {
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
	window := perplexityWindow
	if n := facts.ContextLength; n > 0 {
		window = min(window, n)
	}
	if window < 2 {
		return finding{}, &cannotRunError{fmt.Sprintf("a window of %d tokens predicts nothing", window)}
	}
	if err := m.load(ctx); err != nil {
		return finding{}, err
	}
	ev := perplexityEvidence{Window: window, Declared: m.declaredLanguages()}
	for i, s := range chosen(tok, ev.Declared, m.opts.Level) {
		most := perplexityTokens
		if i > 0 {
			most = furtherTokens
		}
		t, vocabulary, err := predictText(ctx, m, tok, s, window, most)
		if err != nil {
			return finding{}, err
		}
		ev.Chance = vocabulary
		ev.Texts = append(ev.Texts, t)
	}
	return judgeTexts(ev, m), nil
}

// judgeTexts fails a model that predicts no text well: one that knows a single language is not broken.
func judgeTexts(ev perplexityEvidence, m *model) finding {
	best := slices.MinFunc(ev.Texts, func(a, b textSurprise) int { return cmp.Compare(a.sort(), b.sort()) })
	m.best = best.Name
	var poor []string
	for _, t := range ev.Texts {
		if t.Perplexity == 0 || t.Share >= poorShare {
			poor = append(poor, t.Name)
		}
	}
	switch {
	case best.Perplexity == 0:
		return failed(ev, "perplexity is not finite")
	case best.Share >= brokenShare:
		return failed(ev, "each token of the text that is predicted best (%s) takes %.3g of the bits of guessing, not below %g: perplexity %.4g of %d",
			best.Name, best.Share, brokenShare, best.Perplexity, ev.Chance)
	case best.Share >= poorShare:
		return warned(ev, "text is predicted poorly: perplexity %.4g of %d", best.Perplexity, ev.Chance)
	case len(poor) > 0 && len(ev.Declared) > 0:
		return warned(ev, "declared languages are predicted poorly: %s", listed(poor))
	}
	return passed(ev)
}

// sort is the share, or infinity where there is none.
func (t textSurprise) sort() float64 {
	if t.Perplexity == 0 {
		return math.Inf(1)
	}
	return t.Share
}

// declaredLanguages are those of the card.
func (m *model) declaredLanguages() (list []string) {
	for _, l := range m.card().Languages {
		list = addNamed(list, storable(l))
	}
	return list
}

// chosen are the texts in the languages that the card declares or, where it declares none of them, in those that the tokenizer is
// made for. At level quick it is the first of them.
func chosen(tok lexer, declared []string, level verify.Level) []sample {
	var list []sample
	for _, s := range samples {
		if declares(declared, s.language) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		list = covered(tok)
	}
	if level == verify.LevelQuick {
		list = list[:1]
	}
	return list
}

func declares(declared []string, language string) bool {
	return slices.ContainsFunc(declared, func(l string) bool { return strings.ToLower(l) == language })
}

// covered are the texts of which the tokenizer needs few tokens for what they say, beginning with English. All tell the same, so
// that tokens compare, but for the program.
func covered(tok lexer) []sample {
	per := func(s sample) float64 { return float64(len(s.text)) / float64(max(1, len(tok.Encode(s.text, false)))) }
	most := 0.0
	for _, s := range samples {
		most = max(most, per(s))
	}
	var list []sample
	for _, s := range samples {
		if per(s) >= coverage*most {
			list = append(list, s)
		}
	}
	return list
}

// predictText runs one text, at most so many tokens of it, window by window.
func predictText(ctx context.Context, m *model, tok lexer, s sample, window, most int) (t textSurprise, vocabulary int, err error) {
	ids := tok.Encode(s.text, true)
	ids = ids[:min(len(ids), most)]
	if len(ids) < 2 {
		return t, 0, &cannotRunError{fmt.Sprintf("the text %s has %d tokens", s.name, len(ids))}
	}
	var nats float64
	for start := 0; start+1 < len(ids); start += window {
		part := ids[start:min(start+window, len(ids))]
		each, v, err := surprises(ctx, m.decoder, part)
		if err != nil {
			return t, 0, err
		}
		for _, n := range each {
			nats += n
		}
		vocabulary, t.Tokens = v, t.Tokens+len(each)
	}
	begins, _, _ := strings.Cut(s.text, "\n")
	t.Name, t.Begins = s.name, firstWords(begins)
	per := nats / float64(t.Tokens)
	if math.IsNaN(per) || math.IsInf(per, 0) || math.IsInf(math.Exp(per), 0) {
		return t, vocabulary, nil
	}
	t.Perplexity = rounded(math.Exp(per))
	t.Bits = rounded(nats / math.Ln2 / float64(max(1, len(tok.Decode(ids)))))
	t.Share = rounded(per / math.Log(float64(max(2, vocabulary))))
	return t, vocabulary, nil
}

// firstWords returns how a text begins.
func firstWords(s string) string {
	const most = 48
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// surprises returns the negative log-likelihood of every token but the first, in nats, and how many tokens there were to choose
// from.
func surprises(ctx context.Context, d decoder, ids []int) (each []float64, vocabulary int, err error) {
	s := d.session(len(ids))
	defer s.Close()
	err = s.EvalEach(ctx, ids[:len(ids)-1], 0, func(i int, logits []float32) error {
		vocabulary = len(logits)
		each = append(each, surprise(logits, ids[i+1]))
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("run the text: %w", err)
	}
	return each, vocabulary, nil
}

// surprise is the negative log-likelihood of a token, in nats.
func surprise(logits []float32, id int) float64 {
	if id >= len(logits) {
		return math.Inf(1)
	}
	return logSum(logits) - float64(logits[id])
}

// logSum returns the logarithm of the summed exponentials.
func logSum(logits []float32) float64 {
	high := float64(logits[argmax(logits)])
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - high)
	}
	return high + math.Log(sum)
}
