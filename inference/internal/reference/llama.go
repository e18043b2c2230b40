package reference

import "math"

// readLlama reads Llama (Touvron et al. 2023, LLaMA, section 2.2; Llama 2, section 2.2) and what has its blocks.
func readLlama(r *reader) *Model {
	return r.model(func(l int) []Step { return r.sequential(l, r.attention(l).Apply, r.feedOrExperts(l)) })
}

// feedOrExperts returns a layer of experts whose weights sum to one where there is a router.
func (r *reader) feedOrExperts(l int) Half {
	if !r.has("ffn_gate_inp", l) {
		return r.feed(l)
	}
	router := r.router(l)
	router.Normalise = true
	return Each(r.mixture(l, router).Apply)
}

// readMistral reads Mistral (Jiang et al. 2023, section 2) and Mixtral (2024, section 2).
func readMistral(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Mask = Window(r.window())
		return r.sequential(l, a.Apply, r.feedOrExperts(l))
	})
}

// readSmolLM3 reads SmolLM3 (Hugging Face 2025), the fourth of whose layers have no rotary embedding (Yang et al. 2025, Rope to
// Nope and Back Again).
func readSmolLM3(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		if (l+1)%4 == 0 {
			a.Rope = nil
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readGranite reads Granite 3 (IBM 2024), whose multipliers are those of Yang et al. 2022, Tensor Programs V.
func readGranite(r *reader) *Model {
	r.embeddingScale = r.nonzero("embedding_scale", "embedding_multiplier", 1)
	r.residualScale = r.nonzero("residual_scale", "residual_multiplier", 1)
	r.logitScale = 1 / r.nonzero("logit_scale", "logits_scaling", 1)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Scale = r.nonzero("attention.scale", "attention_multiplier", a.Scale)
		return r.sequential(l, a.Apply, r.feedOrExperts(l))
	})
}

// readMiniCPM reads MiniCPM (Hu et al. 2024, section 3.1 and appendix A.1): what a layer adds is scaled by the depth, logits by
// the width.
func readMiniCPM(r *reader) *Model {
	r.miniCPMScales()
	return readLlama(r)
}

func (r *reader) miniCPMScales() {
	embedding, depth, width := 1.0, 1.0, float64(r.hidden)
	if r.GGUF { // of the first models, whose files do not say it
		embedding, depth, width = 12, 1.4, 256
	}
	r.embeddingScale = r.nonzero("embedding_scale", "scale_emb", embedding)
	r.residualScale = r.nonzero("residual_scale", "", r.number("", "scale_depth", depth)/math.Sqrt(float64(r.layerCount)))
	r.logitScale = 1 / r.nonzero("logit_scale", "", float64(r.hidden)/r.number("", "dim_model_base", width))
}

// readQwen2 reads Qwen2 (Yang et al. 2024, section 2.2.1) and Qwen3 (2025, section 2), which has norms of queries and keys.
func readQwen2(r *reader) *Model {
	return r.model(func(l int) []Step { return r.sequential(l, r.qwenAttention(l).Apply, r.feed(l)) })
}

func (r *reader) qwenAttention(l int) Attention {
	a := r.attention(l)
	r.headNorms(&a, l)
	if r.truth("", "use_sliding_window", false) && l >= r.integer("", "max_window_layers", r.layerCount) {
		a.Mask = Window(r.window())
	}
	return a
}

// readQwenMoE reads Qwen2-MoE (section 2.2.2 of the same) and Qwen3-MoE.
func readQwenMoE(r *reader) *Model {
	return r.model(func(l int) []Step {
		if !r.has("ffn_gate_inp", l) { // mlp_only_layers and decoder_sparse_step say it too
			return r.sequential(l, r.qwenAttention(l).Apply, r.feed(l))
		}
		if !r.has("ffn_gate_inp", l) { // as mlp_only_layers and decoder_sparse_step say
			return r.sequential(l, r.qwenAttention(l).Apply, r.feed(l))
		}
		router := r.router(l)
		router.Normalise = r.truth("", "norm_topk_prob", r.name == "qwen3moe")
		return r.sequential(l, r.qwenAttention(l).Apply, Each(r.mixture(l, router).Apply))
	})
}

// readOLMoE reads OLMoE (Muennighoff et al. 2024, section 2), which normalises all queries, and all keys, as one.
func readOLMoE(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.QueryNorm, a.KeyNorm = r.norm("attn_q_norm", l), r.norm("attn_k_norm", l)
		router := r.router(l)
		router.Normalise = r.truth("", "norm_topk_prob", false)
		return r.sequential(l, a.Apply, Each(r.mixture(l, router).Apply))
	})
}

// readOLMo2 reads OLMo 2 (OLMo Team 2025, section 3.2) and OLMo 3, three of whose four layers see a window and do not have the
// scaling of the rotary embedding.
func readOLMo2(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.QueryNorm, a.KeyNorm = r.norm("attn_q_norm", l), r.norm("attn_k_norm", l)
		if window := r.window(); window > 0 && r.windowed(l, 4) {
			a.Mask, a.Rope = Window(window), r.ropeOf(r.base(), false)
		}
		steps := r.sequential(l, a.Apply, r.feed(l))
		steps[0].Branches[0].Before, steps[1].Branches[0].Before = nil, nil
		return steps
	})
}

// readGemma reads Gemma (2024, section 2): embeddings are multiplied by the root of their width, and layers have GeGLU.
func readGemma(r *reader) *Model {
	r.embeddingScale = math.Sqrt(float64(r.hidden))
	return readLlama(r)
}

// readGemma2 reads Gemma 2 (2024, section 2).
func readGemma2(r *reader) *Model {
	r.embeddingScale = math.Sqrt(float64(r.hidden))
	r.logitCap = r.number("final_logit_softcapping", "final_logit_softcapping", 30)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.queryScalar(&a)
		a.Cap = r.number("attn_logit_softcapping", "attn_logit_softcapping", 50)
		if r.windowed(l, 2) {
			a.Mask = Window(r.window())
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readGemma3 reads Gemma 3 (2025, section 2), whose windowed layers keep the base 10000 and no scaling.
func readGemma3(r *reader) *Model {
	r.embeddingScale = math.Sqrt(float64(r.hidden))
	r.logitCap = r.number("final_logit_softcapping", "final_logit_softcapping", 0)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.queryScalar(&a)
		r.headNorms(&a, l)
		if r.windowed(l, 6) {
			local := r.number("rope.freq_base_swa", "rope_parameters.sliding_attention.rope_theta|rope_local_base_freq", 10000)
			a.Mask, a.Rope = Window(r.window()), r.ropeOf(local, false)
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readCohere reads Command R (Cohere 2024): a parallel block with one norm, logits that are scaled, and in Command R+ norms of
// queries and keys.
func readCohere(r *reader) *Model {
	r.logitScale = r.number("logit_scale", "logit_scale", 0.0625)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.headNorms(&a, l)
		norm := r.norm("attn_norm", l)
		return r.parallel(norm, a.Apply, norm, r.feed(l))
	})
}

// readCohere2 reads Command A and R7B (Cohere 2025, section 2.1): layers with a window have a rotary embedding, those without
// have none.
func readCohere2(r *reader) *Model {
	r.logitScale = r.number("logit_scale", "logit_scale", 0.0625)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		if r.windowed(l, 4) {
			a.Mask = Window(r.window())
		} else {
			a.Rope = nil
		}
		norm := r.norm("attn_norm", l)
		return r.parallel(norm, a.Apply, norm, r.feed(l))
	})
}
