package reference

import "math"

// readGPTOSS reads gpt-oss (OpenAI 2025, model card, section 2).
func readGPTOSS(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Sinks = r.vector("attn_sinks", l)
		if r.windowed(l, 2) {
			a.Mask = Window(r.window())
		}
		router := r.router(l)
		router.Normalise = true
		m := r.mixture(l, router)
		for i := range m.Experts {
			m.Experts[i].Gated = ClampedSwiGLU
		}
		return r.sandwich(l, a.Apply, Each(m.Apply))
	})
}

// readLlama4 reads the text part of Llama 4 (Meta 2025, and its published code). Three of four layers have a rotary embedding, norms
// of what it gives, and see the positions of their chunk; the fourth has neither and sharpens its scores at distant positions.
// GGUF files do not tell these numbers, llama.cpp has them.
func readLlama4(r *reader) *Model {
	size := r.integer("", "attention_chunk_size", 8192)
	floor, scale := r.number("", "floor_scale", 8192), r.number("", "attn_scale", 0.1)
	normed := r.truth("", "use_qk_norm", true)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		rotated := (l+1)%r.integer("", "no_rope_layer_interval", 4) != 0
		if list := r.list("", "no_rope_layers"); len(list) > 0 {
			rotated = list[l] == 1.
		}
		switch {
		case rotated:
			if a.Mask = Chunked(size); normed {
				a.RotatedNorm = func(x []float64) []float64 {
					ones := make([]float64, len(x))
					for i := range ones {
						ones[i] = 1
					}
					return RMSNorm(x, ones, r.eps)
				}
			}
		default:
			a.Rope = nil
			if r.truth("", "attn_temperature_tuning", true) {
				a.QueryScale = func(p int) float64 { return 1 + scale*math.Log(1+math.Floor(float64(p+1)/floor)) }
			}
		}
		if !r.has("ffn_gate_inp", l) {
			return r.sequential(l, a.Apply, r.feed(l))
		}
		router := r.router(l)
		router.Sigmoid = true
		m := r.mixture(l, router)
		m.WeighInput = true
		return r.sequential(l, a.Apply, Each(m.Apply))
	})
}

// readGLM4MoE reads GLM-4.5 (GLM-4.5 Team 2025, section 2.1), whose router is DeepSeek-V3's.
func readGLM4MoE(r *reader) *Model {
	dense := r.integer("leading_dense_block_count", "first_k_dense_replace", 0)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.headNorms(&a, l)
		if l < dense {
			return r.sandwich(l, a.Apply, r.feed(l))
		}
		router := r.router(l)
		router.Sigmoid, router.RankTwo = true, true
		router.Normalise = r.truth("expert_weights_norm", "norm_topk_prob", true)
		router.Bias = r.vector("exp_probs_b.bias", l)
		router.Groups, router.TopGroups = r.integer("expert_group_count", "n_group", 1), r.integer("expert_group_used_count", "topk_group", 1)
		return r.sandwich(l, a.Apply, Each(r.mixture(l, router).Apply))
	})
}

// readPhiMoE reads Phi-3.5-MoE (Abdin et al. 2024, Phi-3 Technical Report, and its published code), whose norms are LayerNorm with
// the key of RMSNorm.
func readPhiMoE(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Mask = Window(r.window())
		router := r.router(l)
		router.Jitter = r.number("", "router_jitter_noise", 0.01)
		return r.sequential(l, a.Apply, Each(r.mixture(l, router).Apply))
	})
}

// readBaichuan reads Baichuan (Yang et al. 2023, Baichuan 2, section 2.3), whose larger form, of 40 layers, has ALiBi. The second
// version, known by the weight of its auxiliary loss, normalises the rows of the output layer (section 2.3, NormHead).
func readBaichuan(r *reader) *Model {
	m := r.model(func(l int) []Step {
		a := r.attention(l)
		if r.layerCount == 40 {
			a.Rope, a.Slopes = nil, AlibiSlopes(r.headCount, 8)
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
	if !r.GGUF && r.value("", "z_loss_weight") != nil {
		m.Output.Weight = Each(func(row []float64) []float64 { return Scale(row, 1/math.Sqrt(Dot(row, row))) })(m.Output.Weight)
	}
	return m
}
