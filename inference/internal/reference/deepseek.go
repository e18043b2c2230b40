package reference

import "math"

// readDeepSeek reads DeepSeek-V2 (2024, section 2) and V3 (2024, section 2.1).
func readDeepSeek(r *reader) *Model {
	dense := r.integer("leading_dense_block_count", "first_k_dense_replace", 0)
	return r.model(func(l int) []Step {
		attention := r.latent(l).Apply
		if l < dense {
			return r.sequential(l, attention, r.feed(l))
		}
		return r.sequential(l, attention, Each(r.mixture(l, r.deepseekRouter(l)).Apply))
	})
}

// readDeepSeekMoE reads DeepSeekMoE (Dai et al. 2024, section 3) and dots.llm1 (rednote 2025, section 2), which has the router of
// DeepSeek-V3, and norms of queries and keys.
func readDeepSeekMoE(r *reader) *Model {
	dense := r.integer("leading_dense_block_count", "first_k_dense_replace", 0)
	return r.model(func(l int) []Step {
		a := r.attention(l)
		r.headNorms(&a, l)
		if l < dense {
			return r.sequential(l, a.Apply, r.feed(l))
		}
		return r.sequential(l, a.Apply, Each(r.mixture(l, r.deepseekRouter(l)).Apply))
	})
}

func (r *reader) deepseekRouter(l int) Router {
	router := r.router(l)
	router.Normalise = r.truth("expert_weights_norm", "norm_topk_prob", false)
	router.Bias = r.vector("exp_probs_b.bias", l)
	router.Groups, router.TopGroups = r.integer("expert_group_count", "n_group", 1), r.integer("expert_group_used_count", "topk_group", 1)
	if r.GGUF {
		// The only way of ranking groups that GGUF files know is the third version's.
		router.Sigmoid, router.RankTwo = r.integer("expert_gating_func", "", 1) == 2, true
		return router
	}
	third := r.name == "deepseek_v3" || r.name == "dots1"
	router.Sigmoid = r.text("", "scoring_func", map[bool]string{true: "sigmoid", false: "softmax"}[third]) == "sigmoid"
	switch r.text("", "topk_method", map[bool]string{true: "noaux_tc", false: "greedy"}[third]) {
	case "noaux_tc":
		router.RankTwo = true
	case "greedy":
		router.Groups = 1
	}
	return router
}

// latent reads multi-head latent attention. In GGUF files the matrices of keys and values can be apart, the keys' turned over so
// that they take a query into the compressed space.
func (r *reader) latent(l int) Latent {
	rope := r.rope()
	rotated := 2 * len(rope.Angles)
	plain := r.integer("attention.key_length_mla", "", r.headDim) - rotated
	value := r.integer("attention.value_length_mla", "v_head_dim", r.integer("attention.value_length", "", r.hidden/r.headCount))
	if !r.GGUF {
		plain = r.integer("", "qk_nope_head_dim", 0)
	}
	a := Latent{
		Heads: r.headCount, Down: r.linear("attn_kv_a_mqa", l), Norm: r.norm("attn_kv_a_norm", l), Output: r.linear("attn_output", l),
		Rope: *rope, Rotated: rotated, Mask: Causal,
	}
	if r.has("attn_q_a", l) {
		a.QueryDown, a.QueryNorm, a.Query = r.linear("attn_q_a", l), r.norm("attn_q_a_norm", l), r.linear("attn_q_b", l)
	} else {
		a.Query = r.linear("attn_q", l)
	}
	keys, apart := r.tensor("attn_k_b", ".weight", l)
	values, _ := r.tensor("attn_v_b", ".weight", l)
	for h := range r.headCount {
		if apart {
			a.Key = append(a.Key, Linear{Weight: keys.Rows(h, r.headCount)}.Transposed())
			a.Value = append(a.Value, Linear{Weight: values.Rows(h, r.headCount)})
			continue
		}
		both, first := r.linear("attn_kv_b", l), h*(plain+value)
		a.Key, a.Value = append(a.Key, both.Cut(first, first+plain)), append(a.Value, both.Cut(first+plain, first+plain+value))
	}
	a.Scale = r.sharpened(rope) / math.Sqrt(float64(plain+rotated))
	return a
}

// sharpened returns the square of YaRN's magnitude by the weight that DeepSeek applies to the scores as a whole.
func (r *reader) sharpened(rope *Rope) float64 {
	if !r.GGUF {
		return math.Pow(YaRNMagnitude(r.scaling("factor", 1), r.scaling("mscale_all_dim", 0)), 2)
	}
	factor := 1.0
	if r.text("rope.scaling.type", "", "none") == "yarn" {
		factor = r.factor()
	}
	// The files have a tenth of the weight; without it llama.cpp scales by the rotary embedding's magnitude once more.
	weight := 10 * r.number("rope.scaling.yarn_log_multiplier", "", 0)
	return math.Pow(rope.Magnitude*YaRNMagnitude(factor, weight), 2)
}
