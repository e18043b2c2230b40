package inference

import (
	"context"
	"fmt"
	"math"
)

// Perplexity is how surprised a model is by a text.
type Perplexity struct {
	// Perplexity is e to the mean negative log-likelihood of the scored tokens.
	Perplexity float64 `json:"ppl"`
	// Scored is the number of tokens that count, Tokens how many the text has and Chunks into how many pieces it was cut.
	Scored int `json:"scored"`
	Tokens int `json:"tokens"`
	Chunks int `json:"chunks"`
	// NotFinite counts scored positions whose logits have a NaN or an infinity; Perplexity is NaN then.
	NotFinite int `json:"notFinite"`
}

// Perplexity measures text the way llama.cpp does: the tokens are cut into chunks of contextLen, what remains is left out, each
// chunk is evaluated alone, its first token replaced by the one that begins a text if the tokenizer adds that, and the tokens
// of its second half are scored. It returns the tokenizer's error when there is none, an error when the text has fewer than two
// chunks, and the errors of Eval, such as that of an encoder, which has no perplexity.
func (m *Model) Perplexity(ctx context.Context, text string, contextLen, threads int) (Perplexity, error) {
	var p Perplexity
	if err := m.predicts(); err != nil {
		return p, err
	}
	if m.tokErr != nil {
		return p, fmt.Errorf("perplexity needs a tokenizer: %w", m.tokErr)
	}
	ids := m.tok.EncodePlain(text, true)
	p.Tokens = len(ids)
	if contextLen < 4 || len(ids)/2 < contextLen {
		return p, fmt.Errorf("perplexity at context %d needs a text of %d tokens, it has %d", contextLen, 2*contextLen, len(ids))
	}
	s := m.NewSession(SessionOptions{Threads: threads, Context: contextLen})
	defer s.Close()
	bos, hasBOS := m.tok.BOS()
	var sum float64
	for start := 0; start+contextLen <= len(ids); start += contextLen {
		chunk := append([]int(nil), ids[start:start+contextLen]...)
		if hasBOS && m.tok.AddsBOS() {
			chunk[0] = bos
		}
		s.Truncate(0)
		err := s.EvalEach(ctx, chunk, contextLen/2, func(i int, logits []float32) error {
			if i+1 == contextLen {
				return nil
			}
			nll := negativeLogLikelihood(logits, chunk[i+1])
			if math.IsNaN(nll) || math.IsInf(nll, 0) {
				p.NotFinite++
			}
			sum += nll
			p.Scored++
			return nil
		})
		if err != nil {
			return p, err
		}
		p.Chunks++
	}
	p.Perplexity = math.Exp(sum / float64(p.Scored))
	return p, nil
}

// negativeLogLikelihood returns -log softmax(logits)[id]. It is NaN when a logit is NaN or plus infinity.
func negativeLogLikelihood(logits []float32, id int) float64 {
	largest := math.Inf(-1)
	for _, v := range logits {
		largest = math.Max(largest, float64(v))
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - largest)
	}
	return largest + math.Log(sum) - float64(logits[id])
}
