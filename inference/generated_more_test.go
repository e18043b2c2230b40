package inference

import "strings"

// generatedMore are further architectures whose parts others have.
var generatedMore = []generated{
	{
		name: "olmo", arch: "olmo", ends: "token_embd", layer: "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down",
		names: llamaNames, prefix: layerPrefix, permuted: true, keys: object{"attention.clamp_kqv": float32(1.5)},
		config: object{"model_type": "olmo", "clip_qkv": 1.5, "rms_norm_eps": nil},
	},
	{
		name: "ministral3", arch: "mistral3", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix, permuted: true,
		keys: object{
			"rope.scaling.type": "yarn", "rope.scaling.factor": float32(4), "rope.scaling.original_context_length": uint32(6),
			"rope.scaling.yarn_log_multiplier": float32(1), "attention.temperature_scale": float32(0.4),
		}, config: object{"model_type": "ministral3", "head_dim": genDim, "rope_parameters": object{
			"rope_type": "yarn", "rope_theta": 1e4, "factor": 4, "original_max_position_embeddings": 6, "beta_fast": 32, "beta_slow": 1,
			"mscale": 1, "mscale_all_dim": 1, "llama_4_scaling_beta": 0.4,
		}},
	},
	{
		name: "minicpm3", arch: "minicpm3", ends: "token_embd output_norm", prefix: layerPrefix,
		layer: "attn_norm attn_q_a attn_q_a_norm attn_q_b attn_kv_a_mqa attn_kv_a_norm attn_kv_b attn_output" +
			" ffn_norm ffn_gate ffn_up ffn_down",
		shapes: map[string][]int{
			"attn_q_a": {20, genHidden}, "attn_q_a_norm": {20}, "attn_q_b": {genHeads * 10, 20}, "attn_kv_a_mqa": {16 + 4, genHidden},
			"attn_kv_a_norm": {16}, "attn_kv_b": {genHeads * (6 + genDim), 16}, "attn_output": {genHidden, genHeads * genDim},
		},
		keys: object{
			"attention.head_count_kv": uint32(genHeads), "attention.key_length": uint32(10), "attention.kv_lora_rank": uint32(16),
			"attention.q_lora_rank": uint32(20), "rope.dimension_count": uint32(4), "attention.value_length": uint32(genDim),
		},
		names: llamaNames + " attn_q_a=self_attn.q_a_proj attn_q_a_norm=self_attn.q_a_layernorm attn_q_b=self_attn.q_b_proj" +
			" attn_kv_a_mqa=self_attn.kv_a_proj_with_mqa attn_kv_a_norm=self_attn.kv_a_layernorm attn_kv_b=self_attn.kv_b_proj",
		config: object{
			"model_type": "minicpm3", "num_key_value_heads": genHeads, "kv_lora_rank": 16, "q_lora_rank": 20, "qk_nope_head_dim": 6,
			"qk_rope_head_dim": 4, "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256,
		},
	},
	{
		name: "llama4", arch: "llama4", ends: llamaEnds, prefix: layerPrefix,
		layer: "attn_norm attn_q attn_k attn_v attn_output ffn_norm 0:ffn_gate 0:ffn_up 0:ffn_down 2:ffn_gate 2:ffn_up 2:ffn_down" +
			" 1:ffn_gate_inp 1:ffn_gate_exps 1:ffn_up_exps 1:ffn_down_exps 1:ffn_gate_shexp 1:ffn_up_shexp 1:ffn_down_shexp" +
			" 3:ffn_gate_inp 3:ffn_gate_exps 3:ffn_up_exps 3:ffn_down_exps 3:ffn_gate_shexp 3:ffn_up_shexp 3:ffn_down_shexp",
		keys: and(moeKeys, object{"expert_used_count": uint32(1), "interleave_moe_layer_step": uint32(2)}),
		names: llamaNames + " ffn_gate=feed_forward.gate_proj ffn_up=feed_forward.up_proj ffn_down=feed_forward.down_proj" +
			" ffn_gate_inp=feed_forward.router ffn_gate_exps=feed_forward.experts.%d.gate_proj" +
			" ffn_up_exps=feed_forward.experts.%d.up_proj ffn_down_exps=feed_forward.experts.%d.down_proj" +
			" ffn_gate_shexp=feed_forward.shared_expert.gate_proj ffn_up_shexp=feed_forward.shared_expert.up_proj" +
			" ffn_down_shexp=feed_forward.shared_expert.down_proj",
		config: object{
			"model_type": "llama4_text", "intermediate_size": genExpertFeed, "intermediate_size_mlp": genFeed, "head_dim": genDim,
			"num_local_experts": genExperts, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "rope_theta": 1e4,
		},
		rewrite: llama4Experts,
	},
	{
		name: "glm4moe", arch: "glm4moe", ends: llamaEnds, prefix: layerPrefix, layers: 5,
		layer: "attn_norm attn_q+ attn_k+ attn_v+ attn_output attn_q_norm attn_k_norm post_attention_norm" +
			" 0:ffn_gate 0:ffn_up 0:ffn_down 1-ffn_gate_inp 1-exp_probs_b.bias 1-ffn_gate_exps 1-ffn_up_exps 1-ffn_down_exps" +
			" 1-ffn_gate_shexp 1-ffn_up_shexp 1-ffn_down_shexp 4:nextn.eh_proj 4:nextn.enorm 4:nextn.hnorm",
		shapes: map[string][]int{"nextn.eh_proj": {genHidden, 2 * genHidden}},
		keys: and(moeKeys, object{
			"nextn_predict_layers": uint32(1), "leading_dense_block_count": uint32(1), "expert_shared_count": uint32(1),
			"expert_weights_scale": float32(1.5), "expert_gating_func": uint32(2), "expert_weights_norm": true,
			"rope.dimension_count": uint32(4),
		}),
		names: moeNames + " post_attention_norm=post_attention_layernorm exp_probs_b=mlp.gate.e_score_correction_bias" +
			" ffn_gate_shexp=mlp.shared_experts.gate_proj ffn_up_shexp=mlp.shared_experts.up_proj" +
			" ffn_down_shexp=mlp.shared_experts.down_proj nextn.eh_proj=eh_proj nextn.enorm=enorm nextn.hnorm=hnorm",
		config: object{
			"model_type": "glm4_moe", "num_hidden_layers": 4, "num_nextn_predict_layers": 1, "partial_rotary_factor": 0.5,
			"n_routed_experts": genExperts, "num_experts_per_tok": 3, "moe_intermediate_size": genExpertFeed, "n_shared_experts": 1,
			"first_k_dense_replace": 1, "routed_scaling_factor": 1.5, "norm_topk_prob": true, "head_dim": genDim,
		},
	},
	{
		name: "baichuan-7b", arch: "baichuan", ends: llamaEnds, layer: llamaLayer, prefix: layerPrefix, permuted: true, layers: 32,
		keys: manyHead, shapes: map[string][]int{"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}}, names: llamaNames,
		config:  object{"model_type": "baichuan", "num_key_value_heads": nil},
		rewrite: baichuanPack,
	},
	{
		name: "baichuan-13b", arch: "baichuan", ends: llamaEnds, layer: llamaLayer, prefix: layerPrefix, layers: baichuanAlibi,
		keys: manyHead, shapes: map[string][]int{"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}}, names: llamaNames,
		config:  object{"model_type": "baichuan", "num_key_value_heads": nil},
		rewrite: baichuanPack,
	},
	{
		name: "xverse", arch: "xverse", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix, permuted: true,
		config: object{"model_type": "xverse"},
	},
	{
		name: "orion", arch: "orion", ends: gptEnds, names: llamaNames, prefix: layerPrefix,
		layer:  "attn_norm+ attn_q attn_k attn_v attn_output ffn_norm+ ffn_gate ffn_up ffn_down",
		config: object{"model_type": "orion"},
	},
	{
		name: "seed-oss", arch: "seed_oss", ends: llamaEnds, prefix: layerPrefix,
		layer:  strings.Replace(biasLayer, "ffn_norm", "post_attention_norm", 1),
		names:  llamaNames + " post_attention_norm=post_attention_layernorm",
		config: object{"model_type": "seed_oss", "head_dim": genDim},
	},
	{
		name: "ernie", arch: "ernie4_5", ends: "token_embd output_norm", layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		config: object{"model_type": "ernie4_5", "head_dim": genDim},
	},
	{
		name: "exaone", arch: "exaone", ends: llamaEnds, layer: llamaLayer, prefix: hPrefix,
		names: hNames + " attn_norm=ln_1 attn_q=attn.attention.q_proj attn_k=attn.attention.k_proj attn_v=attn.attention.v_proj" +
			" attn_output=attn.attention.out_proj ffn_norm=ln_2 ffn_gate=mlp.c_fc_0 ffn_up=mlp.c_fc_1 ffn_down=mlp.c_proj",
		config: object{
			"model_type": "exaone", "activation_function": "silu", "num_layers": genLayers, "num_hidden_layers": genLayers,
			"layer_norm_epsilon": 1e-5, "rms_norm_eps": nil,
		},
	},
	{
		name: "exaone4", arch: "exaone4", ends: llamaEnds, prefix: layerPrefix,
		layer:  "attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm post_attention_norm ffn_gate ffn_up ffn_down post_ffw_norm",
		names:  llamaNames + " post_attention_norm=post_attention_layernorm post_ffw_norm=post_feedforward_layernorm",
		config: object{"model_type": "exaone4", "sliding_window": nil, "head_dim": genDim},
	},
	{
		name: "deepseek", arch: "deepseek", ends: llamaEnds, prefix: layerPrefix, permuted: true,
		layer: "attn_norm attn_q attn_k attn_v attn_output ffn_norm 0:ffn_gate 0:ffn_up 0:ffn_down 1-ffn_gate_inp 1-ffn_gate_exps" +
			" 1-ffn_up_exps 1-ffn_down_exps 1-ffn_gate_shexp 1-ffn_up_shexp 1-ffn_down_shexp",
		keys: and(moeKeys, object{"leading_dense_block_count": uint32(1), "expert_shared_count": uint32(1)}),
		names: moeNames + " ffn_gate_shexp=mlp.shared_experts.gate_proj ffn_up_shexp=mlp.shared_experts.up_proj" +
			" ffn_down_shexp=mlp.shared_experts.down_proj",
		config: object{
			"model_type": "deepseek", "n_routed_experts": genExperts, "num_experts_per_tok": 3, "moe_intermediate_size": genExpertFeed,
			"n_shared_experts": 1, "first_k_dense_replace": 1, "norm_topk_prob": false,
		},
	},
	{
		name: "dots1", arch: "dots1", ends: llamaEnds, prefix: layerPrefix,
		layer: "attn_norm attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_norm 0:ffn_gate 0:ffn_up 0:ffn_down" +
			" 1-ffn_gate_inp 1-exp_probs_b.bias 1-ffn_gate_exps 1-ffn_up_exps 1-ffn_down_exps 1-ffn_gate_shexp 1-ffn_up_shexp 1-ffn_down_shexp",
		shapes: map[string][]int{"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}},
		keys: and(moeKeys, manyHead, object{
			"leading_dense_block_count": uint32(1), "expert_shared_count": uint32(1), "expert_weights_scale": float32(1.5),
			"expert_gating_func": uint32(2), "expert_weights_norm": true,
		}),
		names: moeNames + " exp_probs_b=mlp.gate.e_score_correction_bias ffn_gate_shexp=mlp.shared_experts.gate_proj" +
			" ffn_up_shexp=mlp.shared_experts.up_proj ffn_down_shexp=mlp.shared_experts.down_proj",
		config: object{
			"model_type": "dots1", "num_key_value_heads": genHeads, "n_routed_experts": genExperts, "num_experts_per_tok": 3,
			"moe_intermediate_size": genExpertFeed, "n_shared_experts": 1, "first_k_dense_replace": 1, "routed_scaling_factor": 1.5,
			"norm_topk_prob": true, "head_dim": genDim,
		},
	},
}
