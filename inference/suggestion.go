package inference

import "math"

// SamplingSuggestion is what a model's files say of how its tokens are chosen: generation_config.json of a folder, or the keys of
// general.sampling in a GGUF file. What they do not say, or say with a number that makes no sense, is nil.
type SamplingSuggestion struct {
	// Temperature is 0 where the files say that the most likely token is taken.
	Temperature *float64
	TopK        *int
	TopP        *float64
	MinP        *float64
	// RepeatPenalty is meant for all tokens that came before.
	RepeatPenalty *float64
}

// SuggestedSampling returns what the model's files say of the choice of tokens.
func (m *Model) SuggestedSampling() SamplingSuggestion { return m.suggestion }

// suggestion reads the suggestion of a model.
func (c *container) suggestion(x *extras) (s SamplingSuggestion) {
	number := func(folder, key string, most float64) *float64 {
		v := x.generation.float(folder, math.NaN())
		if c.gguf != nil {
			v = c.gguf.Float("general.sampling."+key, math.NaN())
		}
		if !(v >= 0 && v <= most) {
			return nil
		}
		return &v
	}
	s.Temperature = number("temperature", "temp", math.MaxFloat32)
	s.TopP = number("top_p", "top_p", 1)
	s.MinP = number("min_p", "min_p", 1)
	s.RepeatPenalty = number("repetition_penalty", "penalty_repeat", math.MaxFloat32)
	// llama.cpp means all tokens by less than none.
	k := x.generation.integer("top_k", -1)
	if c.gguf != nil {
		k = int(c.gguf.Int("general.sampling.top_k", -1))
	}
	if k >= 0 && k <= math.MaxInt32 {
		s.TopK = &k
	}
	if !x.generation.boolean("do_sample", true) {
		s.Temperature = new(float64)
	}
	return s
}
