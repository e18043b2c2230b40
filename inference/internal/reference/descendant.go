package reference

import "math"

// readOLMo reads OLMo (Groeneveld et al. 2024, section 2.1), whose norms have no gains, and 1.7, which clips queries, keys and
// values.
func readOLMo(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Clamp = r.number("attention.clamp_kqv", "clip_qkv", 0)
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readMinistral reads Ministral 3 (Mistral AI 2025), which sharpens attention at distant positions as Llama 4 does, in all layers
// and by the context before its extension.
func readMinistral(r *reader) *Model {
	beta := r.number("attention.temperature_scale", "rope_parameters.llama_4_scaling_beta", 0)
	original := r.number("rope.scaling.original_context_length", "rope_parameters.original_max_position_embeddings", float64(r.context))
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.QueryScale = func(p int) float64 { return 1 + beta*math.Log(1+math.Floor(float64(p)/original)) }
		return r.sequential(l, a.Apply, r.feedOrExperts(l))
	})
}

// readMiniCPM3 reads MiniCPM3 (OpenBMB 2024), which has DeepSeek-V2's attention in MiniCPM's scaled blocks.
func readMiniCPM3(r *reader) *Model {
	r.miniCPMScales()
	return r.model(func(l int) []Step { return r.sequential(l, r.latent(l).Apply, r.feed(l)) })
}

// readSeedOSS reads Seed-OSS (ByteDance 2025).
func readSeedOSS(r *reader) *Model {
	return r.model(func(l int) []Step { return r.sandwich(l, r.attention(l).Apply, r.feed(l)) })
}

// readEXAONE4 reads EXAONE 4.0 (LG AI Research 2025, section 2.1): norms follow the halves, and in models with windowed layers the
// others have no rotary embedding.
func readEXAONE4(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.headNorms(&a, l)
		if window := r.window(); window > 0 {
			if a.Mask = Window(window); !r.windowed(l, 4) {
				a.Mask, a.Rope = Causal, nil
			}
		}
		steps := r.sequential(l, a.Apply, r.feed(l))
		steps[0].Branches[0].Before, steps[1].Branches[0].Before = nil, nil
		return steps
	})
}
