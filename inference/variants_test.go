package inference

import "strings"

// generatedVariants are further forms of the generated architectures. Only the reference in float64 says what they give; those
// that are like another one are models as folders only.
var generatedVariants = []generated{
	{
		name: "llama-3.1", like: "llama", arch: "llama", ends: "token_embd output_norm", layer: llamaLayer, names: llamaNames,
		prefix: layerPrefix, permuted: true, config: object{"model_type": "llama", "rope_scaling": object{
			"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 150,
		}},
	},
	{name: "llama-factors", arch: "llama", ends: llamaEnds + " rope_freqs", layer: llamaLayer, shapes: map[string][]int{"rope_freqs": {genDim / 2}}},
	{
		name: "llama-linear-biased", arch: "llama", ends: llamaEnds, names: llamaNames, prefix: layerPrefix, permuted: true,
		layer: "attn_norm attn_q+ attn_k+ attn_v+ attn_output+ ffn_norm ffn_gate+ ffn_up+ ffn_down+",
		keys:  object{"rope.scaling.type": "linear", "rope.scaling.factor": float32(3)},
		config: object{
			"model_type": "llama", "attention_bias": true, "mlp_bias": true, "rope_scaling": object{"type": "linear", "factor": 3},
		},
	},
	{
		name: "llama-yarn-blended", arch: "llama", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		permuted: true, keys: object{
			"rope.scaling.type": "yarn", "rope.scaling.factor": float32(4), "rope.scaling.original_context_length": uint32(4096),
			"rope.freq_base": float32(100),
		}, config: object{"model_type": "llama", "rope_theta": 100, "rope_scaling": object{
			"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4096,
		}},
	},
	{
		name: "llama-yarn-untruncated", like: "llama", arch: "llama", ends: llamaEnds, layer: llamaLayer, names: llamaNames,
		prefix: layerPrefix, permuted: true, config: object{"model_type": "llama", "rope_theta": 100, "rope_scaling": object{
			"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "truncate": false, "attention_factor": 1.25,
			"beta_fast": 64, "beta_slow": 16,
		}},
	},
	{
		name: "mistral", like: "llama", arch: "llama", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		permuted: true, config: object{"model_type": "mistral", "sliding_window": 5},
	},
	{
		name: "qwen2-windows", like: "qwen2", arch: "qwen2", ends: "token_embd output_norm", layer: biasLayer, names: llamaNames,
		prefix: layerPrefix,
		config: object{"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 2},
	},
	{
		name: "qwen2moe-normalised", like: "qwen2moe", arch: "qwen2moe", ends: llamaEnds, names: moeNames, prefix: layerPrefix,
		layer: strings.Replace(moeLayer, "attn_q attn_k attn_v", "attn_q+ attn_k+ attn_v+", 1) +
			" ffn_gate_inp_shexp ffn_gate_shexp ffn_up_shexp ffn_down_shexp",
		config: object{
			"model_type": "qwen2_moe", "num_experts": genExperts, "num_experts_per_tok": 2, "moe_intermediate_size": genExpertFeed,
			"shared_expert_intermediate_size": genExpertFeed, "norm_topk_prob": true,
		},
	},
	{
		name: "qwen3-wide", arch: "qwen3", ends: "token_embd output_norm", layer: llamaLayer + " attn_q_norm attn_k_norm",
		names: llamaNames, prefix: layerPrefix, config: object{"model_type": "qwen3", "head_dim": 14, "rms_norm_eps": 0.01},
		keys: object{
			"attention.key_length": uint32(14), "attention.value_length": uint32(14), "rope.dimension_count": uint32(14),
			"attention.layer_norm_rms_epsilon": float32(0.01),
		},
		shapes: map[string][]int{
			"attn_q": {genHeads * 14, genHidden}, "attn_k": {genKV * 14, genHidden}, "attn_v": {genKV * 14, genHidden},
			"attn_output": {genHidden, genHeads * 14}, "attn_q_norm": {14}, "attn_k_norm": {14},
		},
	},
	{
		name: "gemma3-nested", like: "gemma3", arch: "gemma3", ends: "token_embd output_norm", names: gemmaNamesOf, prefix: layerPrefix,
		layer: gemmaLayer + " attn_q_norm attn_k_norm", onePlus: true, config: object{
			"model_type": "gemma3_text", "head_dim": genDim, "sliding_window": 6, "query_pre_attn_scalar": 13, "hidden_activation": "gelu_pytorch_tanh",
			"layer_types": []string{"sliding_attention", "full_attention", "sliding_attention", "full_attention"},
			"rope_parameters": object{
				"full_attention":    object{"rope_type": "linear", "factor": 8, "rope_theta": 1e5},
				"sliding_attention": object{"rope_type": "default", "rope_theta": 100},
			},
		},
	},
	{
		name: "phi3-window", arch: "phi3", ends: "token_embd output_norm output", prefix: layerPrefix,
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: map[string][]int{"ffn_up": {2 * genFeed, genHidden}},
		keys:  object{"attention.sliding_window": uint32(5)},
		names: llamaNames + " ffn_up=mlp.gate_up_proj", config: object{"model_type": "phi3", "sliding_window": 5},
	},
	{
		name: "phi4-mini", like: "phi3", arch: "phi3", ends: "token_embd output_norm", prefix: layerPrefix,
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: map[string][]int{"ffn_up": {2 * genFeed, genHidden}},
		names: llamaNames + " ffn_up=mlp.gate_up_proj", config: object{
			"model_type": "phi3", "partial_rotary_factor": 0.75, "original_max_position_embeddings": 16, "sliding_window": nil,
			"rope_scaling": object{
				"type": "longrope", "short_factor": []float64{1, 1.25, 1.5}, "long_factor": []float64{1, 2.5, 16},
			},
		},
	},
	{
		name: "gptneox-sequential-folder", like: "gptneox", arch: "gptneox", ends: gptEnds, layer: gptLayer, shapes: wholeQKV,
		grouped: true, prefix: "gpt_neox.layers.",
		names: neo("token_embd=gpt_neox.embed_in output_norm=gpt_neox.final_layer_norm output=embed_out", "attention"),
		config: object{
			"model_type": "gpt_neox", "num_key_value_heads": nil, "rotary_pct": 0.5, "hidden_act": "gelu", "rotary_emb_base": 100,
			"use_parallel_residual": false, "layer_norm_eps": 1e-3, "rms_norm_eps": nil,
		},
	},
	{
		name: "starcoder2-window", like: "starcoder2", arch: "starcoder2", ends: "token_embd output_norm+", prefix: layerPrefix,
		layer: "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output+ ffn_norm+ ffn_up+ ffn_down+",
		names: llamaNames + " ffn_up=mlp.c_fc ffn_down=mlp.c_proj", config: object{
			"model_type": "starcoder2", "hidden_act": "gelu_pytorch_tanh", "norm_epsilon": 1e-3, "rms_norm_eps": nil, "sliding_window": 5,
		},
	},
	{
		name: "starcoder-many-heads", like: "starcoder", arch: "starcoder", ends: "token_embd position_embd output_norm+", layer: gptLayer,
		shapes: wholeQKV, grouped: true, prefix: hPrefix,
		names: hNames + " attn_norm=ln_1 attn_qkv=attn.c_attn attn_output=attn.c_proj ffn_norm=ln_2 ffn_up=mlp.c_fc ffn_down=mlp.c_proj",
		config: and(gptSizes, object{
			"model_type": "gpt_bigcode", "activation_function": "gelu_pytorch_tanh", "layer_norm_epsilon": 1e-5, "multi_query": false,
		}),
	},
	{
		name: "falcon-many-heads", like: "falcon", arch: "falcon", ends: "token_embd output_norm+ output",
		layer: "attn_norm+ attn_qkv+ attn_output+ ffn_up+ ffn_down+", shapes: map[string][]int{
			"attn_qkv": {3 * genQ, genHidden}, "ffn_up": {128, genHidden}, "ffn_down": {genHidden, 128},
		}, grouped: true, prefix: hPrefix,
		names: neo("token_embd=transformer.word_embeddings output_norm=transformer.ln_f output=lm_head", "self_attention"),
		config: object{
			"model_type": "falcon", "multi_query": false, "bias": true, "intermediate_size": nil, "activation": "gelu",
			"layer_norm_epsilon": 1e-3, "rms_norm_eps": nil, "num_key_value_heads": nil,
		},
	},
	{
		name: "mpt-learned-positions", arch: "mpt", prefix: "transformer.blocks.", ends: "token_embd position_embd output_norm",
		layer: "attn_norm attn_qkv attn_q_norm+ attn_k_norm+ attn_output ffn_norm ffn_up ffn_down",
		names: "token_embd=transformer.wte position_embd=transformer.wpe output_norm=transformer.norm_f attn_norm=norm_1" +
			" attn_qkv=attn.Wqkv attn_q_norm=attn.q_ln attn_k_norm=attn.k_ln attn_output=attn.out_proj ffn_norm=norm_2" +
			" ffn_up=ffn.up_proj ffn_down=ffn.down_proj",
		shapes: map[string][]int{"attn_qkv": {3 * genQ, genHidden}, "attn_q_norm": {genQ}, "attn_k_norm": {genQ}},
		keys:   and(manyHead, object{"attention.max_alibi_bias": float32(0)}),
		config: object{
			"model_type": "mpt", "d_model": genHidden, "n_layers": genLayers, "n_heads": genHeads, "max_seq_len": genContext,
			"expansion_ratio": genFeed / float64(genHidden), "attn_config": object{"alibi": false, "qk_ln": true}, "hidden_size": nil,
			"num_hidden_layers": nil, "num_attention_heads": nil, "num_key_value_heads": nil, "intermediate_size": nil, "rms_norm_eps": nil,
		},
	},
	{
		name: "mpt-one-key", arch: "mpt", prefix: "transformer.blocks.", ends: "token_embd output_norm",
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down",
		names: "token_embd=transformer.wte output_norm=transformer.norm_f attn_norm=norm_1 attn_qkv=attn.Wqkv attn_output=attn.out_proj" +
			" ffn_norm=norm_2 ffn_up=ffn.up_proj ffn_down=ffn.down_proj",
		shapes: map[string][]int{"attn_qkv": {genQ + 2*genDim, genHidden}},
		keys:   object{"attention.head_count_kv": uint32(1), "attention.max_alibi_bias": float32(4)},
		config: object{
			"model_type": "mpt", "d_model": genHidden, "n_layers": genLayers, "n_heads": genHeads, "max_seq_len": genContext,
			"expansion_ratio": genFeed / float64(genHidden), "attn_config": object{
				"alibi": true, "alibi_bias_max": 4, "attn_type": "multiquery_attention",
			}, "hidden_size": nil, "num_hidden_layers": nil, "num_attention_heads": nil, "num_key_value_heads": nil,
			"intermediate_size": nil, "rms_norm_eps": nil,
		},
	},
	{
		name: "bloom-unprefixed", like: "bloom", arch: "bloom", ends: "token_embd token_embd_norm+ output_norm+", layer: gptLayer,
		shapes: wholeQKV, grouped: true, prefix: "h.",
		names:  neo("token_embd=word_embeddings token_embd_norm=word_embeddings_layernorm output_norm=ln_f", "self_attention"),
		config: and(gptSizes, object{"model_type": "bloom", "layer_norm_epsilon": 1e-3}),
	},
	{
		name: "stablelm-2-12b", like: "stablelm", arch: "stablelm", ends: gptEnds, prefix: layerPrefix,
		layer:  "attn_norm+ attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_gate ffn_up ffn_down",
		shapes: map[string][]int{"attn_q_norm": {genHeads, genDim}, "attn_k_norm": {genKV, genDim}},
		names:  llamaNames + " attn_q_norm=self_attn.q_layernorm.norms.%d attn_k_norm=self_attn.k_layernorm.norms.%d",
		config: object{
			"model_type": "stablelm", "partial_rotary_factor": 0.25, "layer_norm_eps": 1e-5, "rms_norm_eps": nil,
			"qk_layernorm": true, "use_parallel_residual": true,
		},
	},
	{
		name: "command-r-plus", arch: "command-r", ends: "token_embd output_norm",
		keys: object{
			"logit_scale": float32(0.5), "attention.layer_norm_epsilon": float32(0.01), "rope.freq_base": float32(75000),
		},
		layer: "attn_norm attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_gate ffn_up ffn_down", names: llamaNames,
		shapes: map[string][]int{"attn_q_norm": {genHeads, genDim}, "attn_k_norm": {genKV, genDim}}, prefix: layerPrefix,
		config: object{
			"model_type": "cohere", "logit_scale": 0.5, "layer_norm_eps": 0.01, "rms_norm_eps": nil, "use_qk_norm": true,
			"rope_theta": 75000,
		},
	},
	liteModel(),
	latentModel("deepseek2-groups", "softmax", 1, object{
		"q_lora_rank": 20, "topk_method": "group_limited_greedy", "n_group": 3, "topk_group": 2,
	}).folderOnly("deepseek2"),
	latentModel("deepseek3-mscale", "softmax", 1, object{"q_lora_rank": 20}).folderOnly("deepseek2").rescaled(object{
		"type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "mscale": 1, "mscale_all_dim": 0.5,
	}),
	{
		name: "phimoe", arch: "phimoe", ends: "token_embd output_norm+ output+ rope_factors_long rope_factors_short",
		layer: "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output+ ffn_norm+ ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps",
		keys: and(moeKeys, object{
			"expert_used_count": uint32(2), "feed_forward_length": uint32(genExpertFeed),
			"rope.scaling.original_context_length": uint32(16), "rope.scaling.attn_factor": float32(1.25),
		}),
	},
	{
		name: "phimoe-plain", arch: "phimoe", ends: "token_embd output_norm+ output+", prefix: layerPrefix,
		layer: "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output+ ffn_norm+ ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps",
		keys:  and(moeKeys, object{"expert_used_count": uint32(2), "feed_forward_length": uint32(genExpertFeed)}),
		names: llamaNames + " ffn_gate_inp=block_sparse_moe.gate ffn_gate_exps=block_sparse_moe.experts.%d.w1" +
			" ffn_up_exps=block_sparse_moe.experts.%d.w3 ffn_down_exps=block_sparse_moe.experts.%d.w2",
		config: object{
			"model_type": "phimoe", "num_local_experts": genExperts, "num_experts_per_tok": 2, "intermediate_size": genExpertFeed,
			"router_jitter_noise": 0.2, "sliding_window": 7,
		},
	},
	{
		name: "exaone4-hybrid", like: "exaone4", arch: "exaone4", ends: llamaEnds, prefix: layerPrefix,
		layer:  "attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm post_attention_norm ffn_gate ffn_up ffn_down post_ffw_norm",
		names:  llamaNames + " post_attention_norm=post_attention_layernorm post_ffw_norm=post_feedforward_layernorm",
		config: object{"model_type": "exaone4", "sliding_window": 5, "sliding_window_pattern": 4, "head_dim": genDim},
	},
	{
		name: "llama4-chunks", like: "llama4", arch: "llama4", ends: llamaEnds, prefix: layerPrefix,
		layer: "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps" +
			" ffn_gate_shexp ffn_up_shexp ffn_down_shexp",
		names: llamaNames + " ffn_gate_inp=feed_forward.router ffn_gate_exps=feed_forward.experts.%d.gate_proj" +
			" ffn_up_exps=feed_forward.experts.%d.up_proj ffn_down_exps=feed_forward.experts.%d.down_proj" +
			" ffn_gate_shexp=feed_forward.shared_expert.gate_proj ffn_up_shexp=feed_forward.shared_expert.up_proj" +
			" ffn_down_shexp=feed_forward.shared_expert.down_proj",
		config: object{
			"model_type": "llama4_text", "intermediate_size": genExpertFeed, "intermediate_size_mlp": genFeed, "head_dim": genDim,
			"num_local_experts": genExperts, "num_experts_per_tok": 1, "attention_chunk_size": 6, "floor_scale": 4, "attn_scale": 0.3,
			"no_rope_layers": []int{1, 0, 1, 1},
		},
		rewrite: llama4Experts,
	},
	{
		name: "baichuan2", like: "baichuan", arch: "baichuan", ends: llamaEnds, layer: llamaLayer, prefix: layerPrefix, names: llamaNames,
		shapes: map[string][]int{"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}}, keys: manyHead,
		config:  object{"model_type": "baichuan", "num_key_value_heads": nil, "z_loss_weight": 0},
		rewrite: baichuanPack,
	},
	{
		name: "llama-widths", arch: "llama", ends: llamaEnds, layer: "attn_norm attn_q attn_k attn_v attn_output ffn_norm" +
			" 0:ffn_gate 0:ffn_up 0:ffn_down 1:ffn_gate 1:ffn_up 1:ffn_down 2:wide.gate 2:wide.up 2:wide.down 3:ffn_gate 3:ffn_up 3:ffn_down",
		shapes: map[string][]int{"wide.gate": {2 * genFeed, genHidden}, "wide.up": {2 * genFeed, genHidden}, "wide.down": {genHidden, 2 * genFeed}},
		keys:   object{"feed_forward_length": []int32{genFeed, genFeed, 2 * genFeed, genFeed}},
		rename: func(name string) string { return strings.Replace(name, "wide.", "ffn_", 1) },
	},
	{
		name: "qwen3moe-some", like: "qwen3moe", arch: "qwen3moe", ends: llamaEnds, names: moeNames, prefix: layerPrefix,
		layer: "attn_norm attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_norm 0:ffn_gate 0:ffn_up 0:ffn_down" +
			" 1:ffn_gate_inp 1:ffn_gate_exps 1:ffn_up_exps 1:ffn_down_exps 2-ffn_gate 2-ffn_up 2-ffn_down",
		config: object{
			"model_type": "qwen3_moe", "num_experts": genExperts, "num_experts_per_tok": 3, "moe_intermediate_size": genExpertFeed,
			"norm_topk_prob": true, "decoder_sparse_step": 2, "mlp_only_layers": []int{3},
		},
	},
	variantOf("llama4", "llama4-unnormed", object{
		"use_qk_norm": false, "attention_chunk_size": 7, "num_experts_per_tok": 2, "rope_scaling": object{
			"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 150,
		},
	}),
	variantOf("glm4moe", "glm4moe-groups", object{"n_group": 3, "topk_group": 2, "norm_topk_prob": false}),
	variantOf("gpt-oss", "gpt-oss-untruncated", object{"rope_scaling": object{
		"rope_type": "yarn", "factor": 8, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1, "truncate": false,
	}}),
	variantOf("granitemoe", "granitemoe-few", object{"num_experts_per_tok": 1, "attention_multiplier": 0.5}),
}

// variantOf is a generated model as a folder with another configuration.
func variantOf(name, variant string, config object) generated {
	for _, g := range generatedArchitectures {
		if g.name == name {
			g.name, g.like, g.config = variant, name, and(g.config, config)
			return g
		}
	}
	panic(name)
}

func (g generated) folderOnly(like string) generated {
	g.like = like
	return g
}

func (g generated) rescaled(scaling object) generated {
	g.config["rope_scaling"] = scaling
	return g
}

// liteModel is a DeepSeek model whose queries are not compressed.
func liteModel() generated {
	g := latentModel("deepseek2-lite", "softmax", 1, object{"q_lora_rank": nil})
	g.layer = strings.Replace(g.layer, "attn_q_a attn_q_a_norm attn_q_b", "attn_q", 1)
	g.shapes["attn_q"] = []int{genHeads * 10, genHidden}
	delete(g.keys, "attention.q_lora_rank")
	return g
}
