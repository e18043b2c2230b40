package reference

import "math"

// readLlama4 reads Llama 4 (Meta 2025, its published code). The fourth of its layers have no rotary embedding (iRoPE) and sharpen
// attention at distant positions; the others see chunks, and normalise queries and keys after the rotation. Experts, in some
// layers, are one for each token beside the shared one.
func readLlama4(r *reader) *Model {
	step := r.integer("interleave_moe_layer_step", "interleave_moe_layer_step", 1)
	unit := func(x []float64) []float64 { return Scale(x, 1/math.Sqrt(Dot(x, x)/float64(len(x))+r.eps)) }
	floor, scale := r.number("", "floor_scale", 8192), r.number("", "attn_scale", 0.1)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		unrotated := l%4 == 3
		if list := r.list("", "no_rope_layers"); list != nil {
			unrotated = list[l] == 0.0
		}
		if unrotated {
			a.Rope = nil
			a.Temperature = func(p int) float64 { return 1 + scale*math.Log(1+math.Floor(float64(p+1)/floor)) }
		} else {
			a.Rotated, a.Mask = unit, Chunk(r.integer("", "attention_chunk_size", 8192))
		}
		if (l+1)%step != 0 {
			return r.sequential(l, a.Apply, r.feed(l))
		}
		router := r.router(l)
		router.Sigmoid = true
		m := r.mixture(l, router)
		m.WeighInput = true
		return r.sequential(l, a.Apply, Each(m.Apply))
	})
}

// readGLM4MoE reads GLM-4.5 (Zhipu AI 2025, section 2.1): DeepSeek-V3's experts with Llama's attention, whose queries and keys
// have norms.
func readGLM4MoE(r *reader) *Model {
	dense := r.integer("leading_dense_block_count", "first_k_dense_replace", 0)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.headNorms(&a, l)
		feed := r.feedIf(l < dense, l)
		if l >= dense {
			router := r.deepseekRouter(l)
			router.Sigmoid, router.Normalise = true, r.truth("expert_weights_norm", "norm_topk_prob", true)
			feed = Each(r.mixture(l, router).Apply)
		}
		steps := r.sequential(l, a.Apply, feed)
		if r.GGUF { // by the name of what follows attention in other models
			steps[0].Branches[0].After, steps[1].Branches[0].Before = nil, r.norm("post_attention_norm", l)
		}
		return steps
	})
}

// feedIf is feed where there is such a layer.
func (r *reader) feedIf(is bool, l int) Half {
	if !is {
		return nil
	}
	return r.feed(l)
}

// readBaichuan reads Baichuan 2 (Yang et al. 2023, sections 2.3 and 2.6): the larger model has ALiBi, the smaller a rotary
// embedding, and the rows of the output matrix have length 1.
func readBaichuan(r *reader) *Model {
	r.unitOutput = r.value("", "z_loss_weight") != nil
	return r.model(func(l int) []Step {
		a := r.attention(l)
		if r.layerCount == 40 {
			a.Rope, a.Slopes = nil, AlibiSlopes(r.heads, 8)
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readPhiMoE reads Phi-3.5-MoE (Abdin et al. 2024, Phi-3 Technical Report, section 2), whose norms are LayerNorm.
func readPhiMoE(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Mask = Window(r.window())
		router := r.router(l)
		router.Jitter = r.number("", "router_jitter_noise", 0.01)
		return r.sequential(l, a.Apply, Each(r.mixture(l, router).Apply))
	})
}
