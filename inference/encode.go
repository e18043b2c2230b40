package inference

import (
	"context"
	"fmt"

	"github.com/carat-hub/carat/inference/kernel"
)

// packedTokens is how many tokens of short texts go through the layers together.
const packedTokens = 512

// passage is one text as tokens. types is 1 for the tokens of the second text of a pair; nil means 0 for all.
type passage struct{ ids, types []int }

func (e *Encoder) check(seq passage) error {
	if len(seq.ids) == 0 {
		return fmt.Errorf("encode a text of no tokens")
	}
	if len(seq.ids) > e.s.context {
		return fmt.Errorf("encode %d tokens: the encoder takes %d", len(seq.ids), e.s.context)
	}
	for _, id := range seq.ids {
		if id < 0 || id >= e.m.weights.embedding.Rows {
			return fmt.Errorf("token %d is outside the vocabulary of %d", id, e.m.weights.embedding.Rows)
		}
	}
	return nil
}

// run computes the final states of texts and calls each with those of every one, {tokens, hidden}, valid until each returns.
// Texts share products with the weights and nothing else: attention stays within each, and there is no padding.
func (e *Encoder) run(ctx context.Context, texts []passage, each func(i int, states []float32) error) error {
	for i, t := range texts {
		if err := e.check(t); err != nil {
			if len(texts) > 1 {
				err = fmt.Errorf("text %d: %w", i, err)
			}
			return err
		}
	}
	release, err := e.m.use()
	if err != nil {
		return err
	}
	defer release()
	h := e.m.desc.Hidden
	// Queries that depend on their position by itself are told it by the session, which counts in one text.
	alone := e.m.desc.Temperature.Floor > 0
	defer func() { e.s.n = 0 }()
	for first := 0; first < len(texts); {
		n, tokens := 1, len(texts[first].ids)
		for !alone && first+n < len(texts) && tokens+len(texts[first+n].ids) <= packedTokens {
			tokens += len(texts[first+n].ids)
			n++
		}
		if err := e.forward(ctx, texts[first:first+n], tokens); err != nil {
			return err
		}
		at := 0
		for i, t := range texts[first : first+n] {
			if err := each(first+i, e.x[at*h:(at+len(t.ids))*h]); err != nil {
				return err
			}
			at += len(t.ids)
		}
		first += n
	}
	return nil
}

// forward leaves the final states of texts, one after the other, in x.
func (e *Encoder) forward(ctx context.Context, texts []passage, tokens int) error {
	d, s := e.m.desc, e.s
	for _, b := range []struct {
		to    *[]float32
		width int
	}{{&e.x, d.Hidden}, {&e.q, d.Heads * d.HeadDim}, {&e.k, d.KVHeads * d.HeadDim}, {&e.v, d.KVHeads * d.ValueDim}} {
		if size := tokens * b.width; cap(*b.to) < size {
			*b.to = make([]float32, size)
		} else {
			*b.to = (*b.to)[:size]
		}
	}
	s.rope.Prepare(0, 0)
	if s.local != nil {
		s.local.Prepare(0, 0)
	}
	at := 0
	for _, t := range texts {
		n := len(t.ids)
		if err := s.embed(e.x[at*d.Hidden:(at+n)*d.Hidden], t.ids, t.types, 0); err != nil {
			return err
		}
		s.rope.Extend(0, n)
		if s.local != nil {
			s.local.Extend(0, n)
		}
		at += n
	}
	for l := range e.m.weights.layers {
		if err := e.layer(ctx, l, texts); err != nil {
			return err
		}
	}
	s.norm(e.m.weights.norm, e.x, e.x, d.Hidden)
	return nil
}

// layer runs one layer over x. Keys and values of all tokens come first, as attention can look at those after a token. The
// session's x and q are made the part of the encoder's that is at hand.
func (e *Encoder) layer(ctx context.Context, l int, texts []passage) error {
	d, s, w := e.m.desc, e.s, &e.m.weights.layers[l]
	h, q, k, v := d.Hidden, d.Heads*d.HeadDim, d.KVHeads*d.HeadDim, d.KVHeads*d.ValueDim
	rope := s.ropeOf(l)
	err := e.parts(ctx, func(at, n int) error {
		s.norm(w.attentionNorm, e.x[at*h:(at+n)*h], s.normed, h)
		s.q, s.n = e.q[at*q:(at+n)*q], at
		part := rope
		if part != nil {
			part = rope.From(at)
		}
		keys, values := e.k[at*k:(at+n)*k], e.v[at*v:(at+n)*v]
		if w.latent != nil {
			return s.compress(w.latent, part, n, keys, values)
		}
		return s.queriesKeysValues(w, part, n, keys, values)
	})
	if err != nil {
		return err
	}
	s.setAttention(l)
	return e.parts(ctx, func(at, n int) error {
		if err := e.attend(texts, at, n); err != nil {
			return err
		}
		if err := s.project(w, n); err != nil {
			return err
		}
		s.x = e.x[at*h : (at+n)*h]
		if w.parallel {
			s.norm(w.attentionNorm, s.x, s.normed, h)
		}
		return s.addHalves(l, n)
	})
}

// parts calls f for runs of tokens that fit the session's buffers.
func (e *Encoder) parts(ctx context.Context, f func(at, n int) error) error {
	for at, tokens := 0, len(e.x)/e.m.desc.Hidden; at < tokens; at += e.s.batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(at, min(e.s.batch, tokens-at)); err != nil {
			return err
		}
	}
	return nil
}

// attend sets the session's attended to the attention of the n tokens from at on, each within its text.
func (e *Encoder) attend(texts []passage, at, n int) error {
	d, s := e.m.desc, e.s
	q, k, v, out := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim, d.KVHeads*d.ValueDim, d.Heads*d.ValueDim
	start := 0
	for _, t := range texts {
		end := start + len(t.ids)
		if from, to := max(start, at), min(end, at+n); from < to {
			err := s.attention.Run(e.q[from*q:to*q], e.k[start*k:end*k], e.v[start*v:end*v], s.attended[(from-at)*out:], from-start, to-from)
			if err != nil {
				return err
			}
		}
		start = end
	}
	return nil
}

// score sets out, {n, rows of the head}, to what a head makes of n states.
func (e *Encoder) score(h *head, states []float32, n int, out []float32) error {
	s, hidden := e.s, e.m.desc.Hidden
	for at := 0; at < n; at += s.batch {
		part := min(s.batch, n-at)
		x := states[at*hidden : (at+part)*hidden]
		if h.dense.Matrix != nil {
			if err := s.mul(h.dense, x, part, s.normed); err != nil {
				return err
			}
			x = s.normed[:part*hidden]
			kernel.Activate(h.activation, x, nil)
			if h.norm.weight != nil {
				s.norm(h.norm, x, x, hidden)
			}
		}
		if err := s.mul(h.out, x, part, out[at*h.out.Rows:]); err != nil {
			return err
		}
	}
	return nil
}
