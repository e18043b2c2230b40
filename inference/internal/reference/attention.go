package reference

import "math"

// Mask says whether the query at one position sees the key at another.
type Mask func(query, key int) bool

// Causal lets a query see its own position and those before it (Vaswani et al. 2017, section 3.2.3).
func Causal(query, key int) bool { return key <= query }

// Bidirectional lets every query see every key (Devlin et al. 2018, BERT, section 3).
func Bidirectional(_, _ int) bool { return true }

// Window lets a query see the last size positions up to its own (Jiang et al. 2023, Mistral 7B, section 2). 0 means all.
func Window(size int) Mask {
	return func(query, key int) bool { return Causal(query, key) && (size == 0 || query-key < size) }
}

// Chunked lets a query see the positions up to its own of its chunk of size positions (Meta 2025, Llama 4's published code).
func Chunked(size int) Mask {
	return func(query, key int) bool { return Causal(query, key) && query/size == key/size }
}

// Around lets a query see the keys at most distance away on either side (Beltagy et al. 2020, Longformer, section 3.1).
func Around(distance int) Mask {
	return func(query, key int) bool { return max(query-key, key-query) <= distance }
}

// Scores says how products of queries and keys become probabilities.
type Scores struct {
	Scale float64
	Mask  Mask
	// Cap bounds the scaled products when it is not 0.
	Cap float64
	// Bias, when not nil, is added to the score of a query and a key.
	Bias func(query, key int) float64
	// Sink, when not nil, is a score that takes its share of the probabilities and has no value (OpenAI 2025, gpt-oss model
	// card, section 2.2; Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks).
	Sink *float64
}

// Attend returns, for the queries of one head, the values weighed by the softmax of the scores (Vaswani et al. 2017, equation
// 1). The i-th query has the position i.
func (s Scores) Attend(queries, keys, values [][]float64) [][]float64 {
	out := make([][]float64, len(queries))
	for i, q := range queries {
		var scores []float64
		var seen [][]float64
		for j, k := range keys {
			if !s.Mask(i, j) {
				continue
			}
			score := s.Scale * Dot(q, k)
			if s.Cap != 0 {
				score = SoftCap(score, s.Cap)
			}
			if s.Bias != nil {
				score += s.Bias(i, j)
			}
			scores, seen = append(scores, score), append(seen, values[j])
		}
		if s.Sink != nil {
			scores, seen = append(scores, *s.Sink), append(seen, make([]float64, len(values[0])))
		}
		out[i] = make([]float64, len(values[0]))
		for j, p := range Softmax(scores) {
			out[i] = Add(out[i], Scale(seen[j], p))
		}
	}
	return out
}

// AlibiSlopes returns what each head's scores lose per position of distance (Press, Smith and Lewis 2021, Train Short, Test
// Long, section 3): a geometric sequence that starts at its ratio, 2^(-8/n) for n heads. For a number of heads that is no power
// of two the authors' code takes the sequence of the power below, and then every other slope of the power above.
func AlibiSlopes(heads int, largest float64) []float64 {
	below := int(math.Exp2(math.Floor(math.Log2(float64(heads)))))
	var slopes []float64
	for i := 1; i <= below; i++ {
		slopes = append(slopes, math.Pow(math.Exp2(-largest/float64(below)), float64(i)))
	}
	for i := 1; len(slopes) < heads; i += 2 {
		slopes = append(slopes, math.Pow(math.Exp2(-largest/float64(2*below)), float64(i)))
	}
	return slopes
}

// Attention is multi-head attention (Vaswani et al. 2017, section 3.2.2), whose query heads share key and value heads in order:
// all one (Shazeer 2019, Fast Transformer Decoding, section 3) or groups one each (Ainslie et al. 2023, GQA, section 2.2).
type Attention struct {
	Heads, KVHeads     int
	Query, Key, Value  Linear
	Output             Linear
	QueryNorm, KeyNorm Norm    // nil: none
	Clamp              float64 // bounds queries, keys and values when it is not 0 (MPT's clip_qkv)
	Rope               *Rope   // nil: none
	Scale, Cap         float64
	Mask               Mask
	Slopes             []float64                          // ALiBi's, of each head; nil: none
	Sinks              []float64                          // of each head; nil: none
	Bias               func(head, query, key int) float64 // nil: none
	// RotatedNorm is applied to each head's rotated query and key; nil: none.
	RotatedNorm Norm
	// QueryScale multiplies the queries of a position; nil: one.
	QueryScale func(position int) float64
}

// Apply returns the output for a sequence.
func (a Attention) Apply(x [][]float64) [][]float64 {
	queries := a.heads(x, a.Query, a.QueryNorm, a.Rope, a.Heads)
	keys := a.heads(x, a.Key, a.KeyNorm, a.Rope, a.KVHeads)
	values := a.heads(x, a.Value, nil, nil, a.KVHeads)
	for _, head := range queries {
		for i := range head {
			if a.QueryScale != nil {
				head[i] = Scale(head[i], a.QueryScale(i))
			}
		}
	}
	joined := make([][]float64, len(x))
	for h, q := range queries {
		s := Scores{Scale: a.Scale, Cap: a.Cap, Mask: a.Mask}
		switch {
		case a.Slopes != nil:
			s.Bias = func(query, key int) float64 { return -a.Slopes[h] * float64(query-key) }
		case a.Bias != nil:
			s.Bias = func(query, key int) float64 { return a.Bias(h, query, key) }
		}
		if a.Sinks != nil {
			s.Sink = &a.Sinks[h]
		}
		shared := h * a.KVHeads / a.Heads
		for i, y := range s.Attend(q, keys[shared], values[shared]) {
			joined[i] = append(joined[i], y...)
		}
	}
	for i := range joined {
		joined[i] = a.Output.Apply(joined[i])
	}
	return joined
}

// heads returns a projection of x as {heads, positions, elements}.
func (a Attention) heads(x [][]float64, w Linear, norm Norm, rope *Rope, heads int) [][][]float64 {
	out := make([][][]float64, heads)
	for i := range x {
		y := w.Apply(x[i])
		if a.Clamp != 0 {
			y = Map(y, func(v float64) float64 { return math.Max(-a.Clamp, math.Min(v, a.Clamp)) })
		}
		if norm != nil {
			y = norm(y)
		}
		size := len(y) / heads
		for h := range heads {
			head := y[h*size : (h+1)*size]
			if rope != nil {
				head = rope.Rotate(head, i)
				if a.RotatedNorm != nil {
					head = a.RotatedNorm(head)
				}
			}
			out[h] = append(out[h], head)
		}
	}
	return out
}
