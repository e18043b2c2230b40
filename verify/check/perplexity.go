package check

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// Bounds of the perplexity check.
const (
	perplexityWindow = 256 // tokens that are seen at once, at most
	perplexityTokens = 512 // tokens of the text that are used, at most
	// perplexityMargin is how many times better than chance a model must be.
	// Chance, every token equally likely, has the vocabulary's size.
	perplexityMargin = 2
)

// perplexityCheck lets the model predict a text.
var perplexityCheck = check{
	id: idPerplexity, level: verify.LevelQuick, after: []string{idOutputs},
	proves: "The model predicts plain English text far better than chance.",
	run:    predict,
}

type perplexityEvidence struct {
	Text       string  `json:"text"`       // which one
	Begins     string  `json:"begins"`     // its first words
	Tokens     int     `json:"tokens"`     // predicted
	Window     int     `json:"window"`     // tokens
	Perplexity float64 `json:"perplexity"` // rounded to 4 digits; 0 when it is not finite
	Limit      float64 `json:"limit"`      // what it must stay below
	Chance     int     `json:"chance"`     // what guessing would have: the vocabulary's size
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
	ids := tok.Encode(story, true)
	ids = ids[:min(len(ids), perplexityTokens)]
	window := min(perplexityWindow, len(ids))
	n, err := m.contextLength(ctx)
	if err != nil {
		return finding{}, err
	}
	if n > 0 {
		window = min(window, n)
	}
	if window < 2 {
		return finding{}, &cannotRunError{fmt.Sprintf("a window of %d tokens predicts nothing", window)}
	}
	var nll float64
	vocabulary, predicted := 0, 0
	for start := 0; start+1 < len(ids); start += window {
		part := ids[start:min(start+window, len(ids))]
		sum, v, err := surprise(ctx, m, part)
		if err != nil {
			return finding{}, err
		}
		nll, vocabulary, predicted = nll+sum, v, predicted+len(part)-1
	}
	value := math.Exp(nll / float64(predicted))
	ev := perplexityEvidence{
		Text: "story", Tokens: predicted, Window: window, Perplexity: rounded(value), Limit: float64(vocabulary) / perplexityMargin,
		Begins: story[:strings.IndexByte(story, '.')+1], Chance: vocabulary,
	}
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return failed(ev, "perplexity is not finite"), nil
	case value >= ev.Limit:
		return failed(ev, "perplexity %.4g is not below %g; chance has %d", value, ev.Limit, vocabulary), nil
	}
	return passed(ev), nil
}

// surprise returns the summed negative log-likelihood of every token but the
// first, in nats, and how many tokens there were to choose from.
func surprise(ctx context.Context, m *model, ids []int) (sum float64, vocabulary int, err error) {
	s, err := m.session(ctx, len(ids))
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	err = s.EvalEach(ctx, ids[:len(ids)-1], 0, func(i int, logits []float32) error {
		vocabulary = len(logits)
		if next := ids[i+1]; next < len(logits) {
			sum += logSum(logits) - float64(logits[next])
		} else {
			sum = math.Inf(1)
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("run the text: %w", err)
	}
	return sum, vocabulary, nil
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
