package inference

import (
	"context"
	"math"

	"github.com/carat-hub/carat/inference/kernel"
)

// forward runs the layers over ids, at most a batch, and leaves their final states in x.
func (s *Session) forward(ctx context.Context, ids []int) error {
	n := len(ids)
	if err := s.embed(s.x[:n*s.m.desc.Hidden], ids, nil, s.n); err != nil {
		return err
	}
	s.rope.Prepare(s.n, n)
	if s.local != nil {
		s.local.Prepare(s.n, n)
	}
	for l := range s.m.weights.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.block(l, n); err != nil {
			return err
		}
	}
	s.n += n
	return nil
}

// embed sets x to the embeddings of ids at the positions from first on. types is 1 for those of the second text of a pair; nil
// means 0 for all.
func (s *Session) embed(x []float32, ids, types []int, first int) error {
	d, w := s.m.desc, s.m.weights
	for i, id := range ids {
		if err := w.embedding.Row(id, x[i*d.Hidden:(i+1)*d.Hidden]); err != nil {
			return err
		}
	}
	if err := s.adaptEmbeddings(x, ids); err != nil {
		return err
	}
	if d.EmbeddingScale != 1 {
		kernel.Scale(x, d.EmbeddingScale)
	}
	if w.positions != nil {
		for i := range ids {
			if err := w.positions.Row(d.PositionOffset+first+i, s.normed[:d.Hidden]); err != nil {
				return err
			}
			kernel.Add(x[i*d.Hidden:(i+1)*d.Hidden], s.normed)
		}
	}
	if w.types != nil {
		for i := range ids {
			kind := 0
			if types != nil {
				kind = min(types[i], w.types.Rows-1)
			}
			if err := w.types.Row(kind, s.normed[:d.Hidden]); err != nil {
				return err
			}
			kernel.Add(x[i*d.Hidden:(i+1)*d.Hidden], s.normed)
		}
	}
	if w.embeddingNorm.weight != nil {
		s.norm(w.embeddingNorm, x, x, d.Hidden)
	}
	return nil
}

// block adds to x what a layer's attention and feed-forward halves make of it.
func (s *Session) block(l, n int) error {
	d := s.m.desc
	s.norm(s.m.weights.layers[l].attentionNorm, s.x[:n*d.Hidden], s.normed, d.Hidden)
	if err := s.attend(l, n); err != nil {
		return err
	}
	return s.addHalves(l, n)
}

// addHalves adds to x the attention in projected, and what the feed-forward half makes of x, or of normed in parallel blocks.
func (s *Session) addHalves(l, n int) error {
	d, w := s.m.desc, &s.m.weights.layers[l]
	size := n * d.Hidden
	x, normed := s.x[:size], s.normed[:size]
	if w.postAttention.weight != nil {
		s.norm(w.postAttention, s.projected[:size], s.projected, d.Hidden)
	}
	if !w.parallel {
		s.add(x, s.projected)
	}
	if w.afterAttention.weight != nil {
		s.norm(w.afterAttention, x, x, d.Hidden)
	}
	if !w.parallel || w.feedForwardNorm.weight != nil {
		s.norm(w.feedForwardNorm, x, normed, d.Hidden)
	}
	var err error
	if w.experts != nil {
		err = s.route(w.experts, n)
	} else {
		err = s.feed(&w.feed, normed, n, s.fed)
	}
	if err != nil {
		return err
	}
	if w.postFeedForward.weight != nil {
		s.norm(w.postFeedForward, s.fed[:size], s.fed, d.Hidden)
	}
	if w.parallel {
		s.add(x, s.projected)
	}
	s.add(x, s.fed)
	if w.afterFeedForward.weight != nil {
		s.norm(w.afterFeedForward, x, x, d.Hidden)
	}
	return nil
}

// add adds what half a block made to x.
func (s *Session) add(x, y []float32) {
	if f := s.m.desc.ResidualScale; f != 1 {
		kernel.Scale(y[:len(x)], f)
	}
	kernel.Add(x, y)
}

// norm sets each run of width elements of y to the norm of that of x, which may be y. Without a weight it copies.
func (s *Session) norm(w norm, x, y []float32, width int) {
	d := s.m.desc
	for i := 0; i < len(x); i += width {
		from, to := x[i:i+width], y[i:i+width]
		weight, bias := w.weight, w.bias
		if len(weight) > width { // heads with weights of their own
			at := i % len(weight)
			if weight = weight[at : at+width]; bias != nil {
				bias = bias[at : at+width]
			}
		}
		switch {
		case weight == nil:
			copy(to, from)
		case d.LayerNorm:
			kernel.LayerNorm(to, from, weight, bias, d.NormEpsilon)
		default:
			kernel.RMSNorm(to, from, weight, d.NormEpsilon)
			if bias != nil {
				kernel.Add(to, bias)
			}
		}
	}
}

// ropeOf returns the rotary embedding of a layer, nil when it has none.
func (s *Session) ropeOf(l int) *kernel.Rope {
	d := s.m.desc
	switch {
	case len(s.rope.Frequencies) == 0 || l < len(d.Unrotated) && d.Unrotated[l]:
		return nil
	case s.local != nil && d.windowed(l):
		return s.local
	}
	return &s.rope
}

// attend sets projected to the attention of the n states in normed.
func (s *Session) attend(l, n int) error {
	d, w := s.m.desc, &s.m.weights.layers[l]
	_, shared := d.heads(l)
	k, v := s.k[:n*shared*d.HeadDim], s.v[:n*shared*d.ValueDim]
	rope := s.ropeOf(l)
	var err error
	if w.latent != nil {
		err = s.compress(w.latent, rope, n, k, v)
	} else {
		err = s.queriesKeysValues(w, rope, n, k, v)
	}
	if err != nil {
		return err
	}
	if err := s.keys[l].Set(s.n, k, n); err != nil {
		return err
	}
	if err := s.values[l].Set(s.n, v, n); err != nil {
		return err
	}
	s.setAttention(l)
	if err := s.attention.RunCached(s.q, s.keys[l], s.values[l], s.attended, s.n, n); err != nil {
		return err
	}
	return s.project(w, n)
}

// setAttention sets what attention has of its own in a layer.
func (s *Session) setAttention(l int) {
	d := s.m.desc
	s.attention.Heads, s.attention.KVHeads = d.heads(l)
	s.attention.Sinks, s.attention.Window, s.attention.Chunk = s.m.weights.layers[l].sinks, 0, 0
	switch {
	case d.windowed(l) && d.Chunked:
		s.attention.Chunk = d.Window
	case d.windowed(l):
		s.attention.Window = d.Window
	}
}

// project sets projected to what the output matrix makes of the n attended states.
func (s *Session) project(w *layer, n int) error {
	if w.latent != nil {
		if err := s.expand(w.latent, n); err != nil {
			return err
		}
	}
	return s.mul(w.o, s.attended, n, s.projected)
}

// queriesKeysValues sets q and the new slots k and v of the cache.
func (s *Session) queriesKeysValues(w *layer, rope *kernel.Rope, n int, k, v []float32) error {
	d := s.m.desc
	if err := s.mulAll(s.normed, n, product{w.q, s.q}, product{w.k, k}, product{w.v, v}); err != nil {
		return err
	}
	qWidth, kvWidth := w.q.Rows, w.k.Rows
	q := s.q[:n*qWidth]
	if d.ClampQKV > 0 {
		for _, x := range [][]float32{q, k, v} {
			for i := range x {
				x[i] = min(max(x[i], -d.ClampQKV), d.ClampQKV)
			}
		}
	}
	if w.queryNorm.weight != nil {
		qNorm, kNorm := d.HeadDim, d.HeadDim
		if d.family.qkNorm == wholeQKNorm {
			qNorm, kNorm = qWidth, kvWidth
		}
		s.norm(w.queryNorm, q, q, qNorm)
		s.norm(w.keyNorm, k, k, kNorm)
	}
	if rope == nil || d.Temperature.Everywhere {
		for i := range n {
			if t := d.Temperature.at(s.n + i); t != 1 {
				kernel.Scale(q[i*qWidth:(i+1)*qWidth], t)
			}
		}
	}
	if rope == nil {
		return nil
	}
	for i := range n {
		rope.Apply(q[i*qWidth:(i+1)*qWidth], d.HeadDim, i)
		rope.Apply(k[i*kvWidth:(i+1)*kvWidth], d.HeadDim, i)
	}
	if d.RotatedNorm {
		kernel.RMSNormHeads(q, d.HeadDim, d.NormEpsilon)
		kernel.RMSNormHeads(k, d.HeadDim, d.NormEpsilon)
	}
	return nil
}

// at returns the factor of the queries at a position.
func (t TemperatureDescription) at(position int) float32 {
	if t.Floor <= 0 {
		return 1
	}
	return float32(1 + t.Scale*math.Log(float64((position+t.Offset)/t.Floor+1)))
}

// feed sets out to the feed-forward layer of the n states in x.
func (s *Session) feed(w *gated, x []float32, n int, out []float32) error {
	width := w.up.Rows
	up := s.up[:n*width]
	inner := up
	if w.gate.Matrix != nil {
		inner = s.gate[:n*width]
		if err := s.mulAll(x, n, product{w.up, up}, product{w.gate, inner}); err != nil {
			return err
		}
		if err := s.activator.Run(inner, up); err != nil {
			return err
		}
	} else {
		if err := s.mul(w.up, x, n, up); err != nil {
			return err
		}
		if err := s.activator.Run(inner, nil); err != nil {
			return err
		}
	}
	if w.divisor != nil {
		for i := range inner {
			inner[i] /= w.divisor[i%width]
		}
	}
	return s.mul(w.down, inner, n, out)
}

// head computes the logits of rows positions from the i-th of the batch on.
func (s *Session) head(ctx context.Context, i, rows int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, w := s.m.desc, s.m.weights
	s.norm(w.norm, s.x[i*d.Hidden:(i+rows)*d.Hidden], s.normed, d.Hidden)
	if err := s.mul(w.output, s.normed, rows, s.logits); err != nil {
		return err
	}
	logits := s.logits[:rows*w.output.Rows]
	if w.outputScale != nil {
		for i := range logits {
			logits[i] *= w.outputScale[i%w.output.Rows]
		}
	}
	if d.LogitScale != 1 {
		kernel.Scale(logits, d.LogitScale)
	}
	if d.LogitCap > 0 {
		kernel.SoftCap(logits, d.LogitCap)
	}
	return nil
}

// product is what a matrix makes of vectors.
type product struct {
	by linear
	to []float32
}

func (s *Session) mul(w linear, x []float32, n int, y []float32) error {
	return s.mulAll(x, n, product{w, y})
}

// mulAll multiplies the n vectors in x with several matrices at once, with biases and what adapters add.
func (s *Session) mulAll(x []float32, n int, products ...product) error {
	s.terms = s.terms[:0]
	for _, p := range products {
		s.terms = append(s.terms, kernel.Term{Matrix: p.by.Matrix, Bias: p.by.bias, Y: p.to})
	}
	if err := s.product.MulAll(x, n, s.terms...); err != nil {
		return err
	}
	for _, p := range products {
		if err := s.addAdapters(p.by.adapters, x, n, p.to); err != nil {
			return err
		}
	}
	return nil
}
