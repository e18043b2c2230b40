package inference

import (
	"context"
	"fmt"
	"slices"
)

// GenerateOptions are the choices for Generate.
type GenerateOptions struct {
	// MaxTokens bounds the generated tokens; generation also ends when the context is full.
	MaxTokens int
	// IgnoreEnd goes on after a token that ends a text.
	IgnoreEnd bool
	// OnToken is called with each token as it is chosen; its error ends the generation and is returned.
	OnToken func(id int) error
}

// Generate appends prompt to the sequence and then, one at a time, the most likely token (the lowest id on a tie). It returns
// the generated ids, a final end token included. Errors are those of Eval; the ids so far are returned with them.
func (s *Session) Generate(ctx context.Context, prompt []int, o GenerateOptions) ([]int, error) {
	logits, err := s.Eval(ctx, prompt)
	if err != nil {
		return nil, err
	}
	var out []int
	for len(out) < o.MaxTokens {
		id := Argmax(logits)
		if id < 0 {
			return out, fmt.Errorf("no token can follow %d: every logit is NaN", s.n)
		}
		out = append(out, id)
		if o.OnToken != nil {
			if err := o.OnToken(id); err != nil {
				return out, err
			}
		}
		if !o.IgnoreEnd && slices.Contains(s.m.eos, id) || len(out) == o.MaxTokens || s.n == s.context {
			break
		}
		if logits, err = s.Eval(ctx, []int{id}); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Argmax returns the index of the largest value, the lowest on a tie, and -1 when there is none. NaN is never the largest.
func Argmax(x []float32) int {
	best := -1
	for i, v := range x {
		if v == v && (best < 0 || v > x[best]) {
			best = i
		}
	}
	return best
}
