package reference

// Latent is multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1, with all formulas in appendix C) as the
// paper defines it: keys and values of every head are made from the compressed vector, and no matrix is absorbed into another.
type Latent struct {
	Heads int
	// Query makes every head's query, its plain part before its rotated one, from the state or, when QueryDown has weights,
	// from its compressed form (equations 12 to 14).
	QueryDown, Query Linear
	QueryNorm        Norm
	// Down makes the compressed vector and the rotated part of the key, which all heads share (equations 9 and 15).
	Down Linear
	Norm Norm
	// Key and Value make one head's plain part of the key and its value (equations 10 and 11).
	Key, Value []Linear
	Output     Linear
	Rope       Rope
	Rotated    int
	Scale      float64
	Mask       Mask
}

// Apply returns the output for a sequence (equations 16 to 19).
func (l Latent) Apply(x [][]float64) [][]float64 {
	joined := make([][]float64, len(x))
	for h := range l.Heads {
		var queries, keys, values [][]float64
		for i := range x {
			c := x[i]
			if l.QueryDown.Weight != nil {
				c = l.QueryNorm(l.QueryDown.Apply(c))
			}
			q := l.Query.Apply(c)
			size := len(q) / l.Heads
			q = q[h*size : (h+1)*size]
			plain := size - l.Rotated
			queries = append(queries, concat(q[:plain], l.Rope.Rotate(q[plain:], i)))

			down := l.Down.Apply(x[i])
			rank := len(down) - l.Rotated
			compressed := l.Norm(down[:rank])
			keys = append(keys, concat(l.Key[h].Apply(compressed), l.Rope.Rotate(down[rank:], i)))
			values = append(values, l.Value[h].Apply(compressed))
		}
		for i, y := range (Scores{Scale: l.Scale, Mask: l.Mask}).Attend(queries, keys, values) {
			joined[i] = append(joined[i], y...)
		}
	}
	for i := range joined {
		joined[i] = l.Output.Apply(joined[i])
	}
	return joined
}

func concat(a, b []float64) []float64 { return append(append([]float64(nil), a...), b...) }
