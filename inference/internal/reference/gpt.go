package reference

// readGPT2 reads GPT-2 (Radford et al. 2019, section 2.3), whose positions are learned.
func readGPT2(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Rope = nil
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readStarCoder reads StarCoder (Li et al. 2023, section 5.2): GPT-2 with one key and value head,
// or with as many as there are of queries, which folders then store head by head.
func readStarCoder(r *reader) *Model {
	if !r.GGUF {
		if r.kvHeads, r.grouped = r.headCount, true; r.truth("", "multi_query", true) {
			r.kvHeads = 1
		}
	}
	return readGPT2(r)
}

// readPhi2 reads Phi-2 (Microsoft 2023) and GPT-J (Wang and Komatsuzaki 2021): a parallel block with one norm.
func readPhi2(r *reader) *Model {
	return r.model(func(l int) []Step {
		norm := r.norm("attn_norm", l)
		return r.parallel(norm, r.attention(l).Apply, norm, r.feed(l))
	})
}

// readNeoX reads GPT-NeoX (Black et al. 2022, section 2.1): its parallel block has two norms.
func readNeoX(r *reader) *Model {
	return r.model(func(l int) []Step {
		a, f := r.attention(l).Apply, r.feed(l)
		if r.truth("use_parallel_residual", "use_parallel_residual", true) {
			return r.parallel(r.norm("attn_norm", l), a, r.norm("ffn_norm", l), f)
		}
		return r.sequential(l, a, f)
	})
}

// readFalcon reads Falcon (Almazrouei et al. 2023, section 4.3): a parallel block, in the larger models with two norms.
func readFalcon(r *reader) *Model {
	if !r.GGUF {
		switch {
		case r.truth("", "new_decoder_architecture", false):
			r.names["attn_norm"] = r.present(r.layers + "ln_mlp")
		case r.truth("", "multi_query", true):
			r.kvHeads = 1
		default:
			r.kvHeads = r.headCount
		}
	}
	return r.model(func(l int) []Step {
		feedNorm := r.norm("attn_norm", l)
		norm := r.norm("attn_norm_2", l)
		if norm == nil {
			norm = feedNorm
		}
		return r.parallel(norm, r.attention(l).Apply, feedNorm, r.feed(l))
	})
}

// readBLOOM reads BLOOM (Scao et al. 2022, section 3.2): ALiBi, and a norm of the embeddings.
func readBLOOM(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		a.Rope, a.Slopes = nil, AlibiSlopes(r.headCount, 8)
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readMPT reads MPT (MosaicML 2023). Folders have the exact GELU.
func readMPT(r *reader) *Model {
	bias := r.number("attention.max_alibi_bias", "", 0)
	if !r.GGUF {
		if r.truth("", "attn_config.alibi", false) {
			bias = r.number("", "attn_config.alibi_bias_max", 8)
		}
		r.kvHeads = r.integer("", "attn_config.kv_n_heads", r.headCount)
		if r.text("", "attn_config.attn_type", "") == "multiquery_attention" {
			r.kvHeads = 1
		}
		r.architecture.activation = GELU
	}
	return r.model(func(l int) []Step {
		a := r.attention(l)
		if a.Rope = nil; bias > 0 {
			a.Slopes = AlibiSlopes(r.headCount, bias)
		}
		a.Clamp = r.number("attention.clamp_kqv", "attn_config.clip_qkv", 0)
		a.QueryNorm, a.KeyNorm = r.norm("attn_q_norm", l), r.norm("attn_k_norm", l)
		return r.sequential(l, a.Apply, r.feed(l))
	})
}

// readStableLM reads StableLM (Stability AI 2023; Bellagamba et al. 2024, Stable LM 2, section 2): its larger form is a parallel
// block with one norm, and with norms of each head's queries and keys.
func readStableLM(r *reader) *Model {
	return r.model(func(l int) []Step {
		a := r.attention(l)
		if r.headNorms(&a, l); !r.GGUF && r.has("head_q_norm", l, 0) {
			of := func(role string, heads int) Norm {
				var norms []Norm
				for h := range heads {
					norms = append(norms, r.norm(role, l, h))
				}
				return EachHead(r.headDim, norms...)
			}
			a.QueryNorm, a.KeyNorm = of("head_q_norm", r.headCount), of("head_k_norm", r.kvHeads)
		}
		norm, feedNorm := r.norm("attn_norm", l), r.norm("ffn_norm", l)
		if feedNorm == nil {
			return r.parallel(norm, a.Apply, norm, r.feed(l))
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}
