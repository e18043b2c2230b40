package reference

// Half is attention or a feed-forward layer: it maps the states of a sequence to what they add to the residual stream.
type Half func(states [][]float64) [][]float64

// Each applies f to every position by itself.
func Each(f func(x []float64) []float64) Half {
	return func(states [][]float64) [][]float64 {
		out := make([][]float64, len(states))
		for i, x := range states {
			out[i] = f(x)
		}
		return out
	}
}

// Branch is a half with the norms before and after it; nil norms change nothing. Norms before it are those of Pre-LN
// Transformers (Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, section 3.2), norms after it those of
// OLMo 2 (2025, section 3.2), and both together those of Gemma 2 (2024, section 2).
type Branch struct {
	Before, After Norm
	Half          Half
}

// Step adds to the states what its branches, which all read the same states, make of them. Two branches in one step are a
// parallel block (Wang and Komatsuzaki 2021, GPT-J-6B; Chowdhery et al. 2022, PaLM, section 2).
type Step struct {
	Branches []Branch
	// Scale multiplies what is added.
	Scale float64
	// Norm, when not nil, is applied to the sum, as in the first Transformer (Vaswani et al. 2017, section 3.1).
	Norm Norm
}

// Apply returns the new states.
func (s Step) Apply(states [][]float64) [][]float64 {
	out := states
	for _, b := range s.Branches {
		y := normed(b.After, b.Half(normed(b.Before, states)))
		for i := range y {
			y[i] = Add(out[i], Scale(y[i], s.Scale))
		}
		out = y
	}
	return normed(s.Norm, out)
}

func normed(n Norm, states [][]float64) [][]float64 {
	if n == nil {
		return states
	}
	return Each(n)(states)
}

// Model is a Transformer as a function of whole sequences: nothing is kept between calls.
type Model struct {
	// Embed returns the first states of a sequence. types are the tokens' kinds where a model has them; nil means that all are 0.
	Embed func(ids, types []int) [][]float64
	Steps []Step
	// Norm follows the last step; nil: none.
	Norm Norm
	// Pool makes one state of those of a sequence, for models that say one thing of all of it; nil: every position has logits.
	Pool func(states [][]float64) []float64
	// Transform maps a state before Output, in models with a head of two layers; nil: none.
	Transform func(x []float64) []float64
	// Output makes logits of a state. LogitScale multiplies them, LogitCap then bounds them when it is not 0.
	Output               Linear
	LogitScale, LogitCap float64
}

// States returns the last states of a sequence.
func (m *Model) States(ids, types []int) [][]float64 {
	states := m.Embed(ids, types)
	for _, s := range m.Steps {
		states = s.Apply(states)
	}
	return normed(m.Norm, states)
}

// Logits returns the logits at each position of a sequence, or those of the pooled state.
func (m *Model) Logits(ids []int) [][]float64 {
	states := m.States(ids, nil)
	if m.Pool != nil {
		states = [][]float64{m.Pool(states)}
	}
	return Each(func(x []float64) []float64 {
		if m.Transform != nil {
			x = m.Transform(x)
		}
		logits := Scale(m.Output.Apply(x), m.LogitScale)
		if m.LogitCap != 0 {
			logits = Map(logits, func(v float64) float64 { return SoftCap(v, m.LogitCap) })
		}
		return logits
	})(states)
}
