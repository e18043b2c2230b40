package inference

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	llamaEnds  = "token_embd output_norm output"
	llamaLayer = "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate ffn_up ffn_down"
	biasLayer  = "attn_norm attn_q+ attn_k+ attn_v+ attn_output ffn_norm ffn_gate ffn_up ffn_down"
	moeLayer   = "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps"
	gemmaLayer = "attn_norm attn_q attn_k attn_v attn_output post_attention_norm ffn_norm ffn_gate ffn_up ffn_down post_ffw_norm"
	gptEnds    = "token_embd output_norm+ output"
	gptLayer   = "attn_norm+ attn_qkv+ attn_output+ ffn_norm+ ffn_up+ ffn_down+"

	layerPrefix = "model.layers."
	llamaNames  = "token_embd=model.embed_tokens output_norm=model.norm output=lm_head attn_norm=input_layernorm" +
		" ffn_norm=post_attention_layernorm attn_q=self_attn.q_proj attn_k=self_attn.k_proj attn_v=self_attn.v_proj" +
		" attn_qkv=self_attn.qkv_proj attn_output=self_attn.o_proj attn_q_norm=self_attn.q_norm attn_k_norm=self_attn.k_norm" +
		" ffn_gate=mlp.gate_proj ffn_up=mlp.up_proj ffn_down=mlp.down_proj"
	moeNames = llamaNames + " ffn_gate_inp=mlp.gate ffn_gate_exps=mlp.experts.%d.gate_proj ffn_up_exps=mlp.experts.%d.up_proj" +
		" ffn_down_exps=mlp.experts.%d.down_proj ffn_gate_shexp=mlp.shared_expert.gate_proj ffn_up_shexp=mlp.shared_expert.up_proj" +
		" ffn_down_shexp=mlp.shared_expert.down_proj ffn_gate_inp_shexp=mlp.shared_expert_gate"
	gemmaNamesOf = llamaNames + " post_attention_norm=post_attention_layernorm ffn_norm=pre_feedforward_layernorm" +
		" post_ffw_norm=post_feedforward_layernorm"
	hPrefix  = "transformer.h."
	hNames   = "token_embd=transformer.wte position_embd=transformer.wpe output_norm=transformer.ln_f output=lm_head"
	neoNames = " attn_norm=input_layernorm attn_qkv=%.query_key_value attn_output=%.dense ffn_norm=post_attention_layernorm" +
		" ffn_up=mlp.dense_h_to_4h ffn_down=mlp.dense_4h_to_h"
)

func neo(ends, attention string) string { return ends + strings.ReplaceAll(neoNames, "%", attention) }

var (
	llama4Experts = fuse("feed_forward.experts.%d.gate_proj", "feed_forward.experts.%d.up_proj",
		"feed_forward.experts.%d.down_proj", "feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj", true, false)
	baichuanPack = pack("self_attn.W_pack", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")

	moeKeys = map[string]any{
		"expert_count": uint32(genExperts), "expert_used_count": uint32(3), "expert_feed_forward_length": uint32(genExpertFeed),
	}
	wholeQKV = map[string][]int{"attn_qkv": {3 * genQ, genHidden}}
	manyHead = map[string]any{"attention.head_count_kv": uint32(genHeads)}
	gptSizes = map[string]any{
		"n_embd": genHidden, "n_layer": genLayers, "n_head": genHeads, "n_positions": genContext, "n_inner": genFeed, "hidden_size": nil,
		"intermediate_size": nil, "num_hidden_layers": nil, "num_attention_heads": nil, "num_key_value_heads": nil,
	}
)

func and(maps ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

type object = map[string]any

// generatedArchitectures are all, in an order that gives each its seed.
var generatedArchitectures = slices.Concat(generatedMain, generatedMore)

var generatedMain = []generated{
	{
		name: "llama", arch: "llama", ends: "token_embd output_norm", layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		permuted: true, config: object{"model_type": "llama"},
	},
	{
		name: "llama-yarn", arch: "llama", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix, permuted: true,
		keys: object{
			"rope.scaling.type": "yarn", "rope.scaling.factor": float32(4), "rope.scaling.original_context_length": uint32(16),
			"rope.freq_base": float32(100), "rope.scaling.yarn_beta_fast": float32(2),
		}, config: object{"model_type": "llama", "rope_theta": 100, "rope_scaling": object{
			"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16, "beta_fast": 2,
		}},
	},
	{
		name: "mixtral", arch: "llama", ends: llamaEnds, layer: moeLayer, prefix: layerPrefix, permuted: true,
		keys: and(moeKeys, object{"feed_forward_length": uint32(genExpertFeed)}),
		names: llamaNames + " ffn_gate_inp=block_sparse_moe.gate ffn_gate_exps=block_sparse_moe.experts.%d.w1" +
			" ffn_up_exps=block_sparse_moe.experts.%d.w3 ffn_down_exps=block_sparse_moe.experts.%d.w2",
		config: object{
			"model_type": "mixtral", "num_local_experts": genExperts, "num_experts_per_tok": 3, "intermediate_size": genExpertFeed,
			"sliding_window": nil,
		},
	},
	{
		name: "smollm3", arch: "smollm3", ends: "token_embd output_norm", layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		permuted: true, config: object{"model_type": "smollm3"},
	},
	{
		name: "granite", arch: "granite", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix, permuted: true,
		keys: object{
			"logit_scale": float32(3), "residual_scale": float32(0.75), "embedding_scale": float32(2), "attention.scale": float32(0.25),
		}, config: object{
			"model_type": "granite", "logits_scaling": 3, "residual_multiplier": 0.75, "embedding_multiplier": 2, "attention_multiplier": 0.25,
		},
	},
	{
		name: "minicpm", arch: "minicpm", ends: llamaEnds, layer: llamaLayer, names: llamaNames, prefix: layerPrefix, permuted: true,
		keys:   object{"logit_scale": float32(4), "residual_scale": float32(0.5), "embedding_scale": float32(3)},
		config: object{"model_type": "minicpm", "dim_model_base": 8, "scale_depth": 1, "scale_emb": 3},
	},
	{
		name: "internlm2", arch: "internlm2", ends: llamaEnds, permuted: true, grouped: true, prefix: layerPrefix,
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_gate ffn_up ffn_down",
		names: "token_embd=model.tok_embeddings output_norm=model.norm output=output attn_norm=attention_norm attn_qkv=attention.wqkv" +
			" attn_output=attention.wo ffn_norm=ffn_norm ffn_gate=feed_forward.w1 ffn_up=feed_forward.w3 ffn_down=feed_forward.w2",
		config: object{"model_type": "internlm2", "rope_scaling": object{"type": "dynamic", "factor": 2}},
	},
	{
		name: "qwen2", arch: "qwen2", ends: llamaEnds, layer: biasLayer, names: llamaNames, prefix: layerPrefix,
		config: object{"model_type": "qwen2"},
	},
	{
		name: "qwen2moe", arch: "qwen2moe", ends: llamaEnds, names: moeNames, prefix: layerPrefix,
		keys: and(moeKeys, object{"expert_shared_feed_forward_length": uint32(genExpertFeed)}),
		layer: strings.Replace(moeLayer, "attn_q attn_k attn_v", "attn_q+ attn_k+ attn_v+", 1) +
			" ffn_gate_inp_shexp ffn_gate_shexp ffn_up_shexp ffn_down_shexp",
		config: object{
			"model_type": "qwen2_moe", "num_experts": genExperts, "num_experts_per_tok": 3, "moe_intermediate_size": genExpertFeed,
			"shared_expert_intermediate_size": genExpertFeed,
		},
	},
	{
		name: "qwen3", arch: "qwen3", ends: llamaEnds, layer: llamaLayer + " attn_q_norm attn_k_norm", names: llamaNames,
		prefix: layerPrefix, config: object{"model_type": "qwen3", "head_dim": genDim},
	},
	{
		name: "qwen3moe", arch: "qwen3moe", ends: llamaEnds, layer: moeLayer + " attn_q_norm attn_k_norm", names: moeNames,
		prefix: layerPrefix, keys: moeKeys, config: object{
			"model_type": "qwen3_moe", "num_experts": genExperts, "num_experts_per_tok": 3, "moe_intermediate_size": genExpertFeed,
			"norm_topk_prob": true,
		},
	},
	{
		name: "gemma", arch: "gemma", ends: "token_embd output_norm", layer: llamaLayer, names: llamaNames, prefix: layerPrefix,
		onePlus: true, config: object{"model_type": "gemma", "hidden_act": "gelu_pytorch_tanh"}, tolerance: 1e-3,
	},
	{
		name: "gemma2", arch: "gemma2", ends: "token_embd output_norm", layer: gemmaLayer, names: gemmaNamesOf, prefix: layerPrefix,
		onePlus: true, tolerance: 1e-3,
		keys: object{
			"attention.sliding_window": uint32(6), "attn_logit_softcapping": float32(2), "final_logit_softcapping": float32(3),
		}, config: object{
			"model_type": "gemma2", "sliding_window": 6, "attn_logit_softcapping": 2, "final_logit_softcapping": 3,
			"query_pre_attn_scalar": genDim, "hidden_activation": "gelu_pytorch_tanh",
		},
	},
	{
		name: "gemma3", arch: "gemma3", ends: "token_embd output_norm", layer: gemmaLayer + " attn_q_norm attn_k_norm",
		names: gemmaNamesOf, prefix: layerPrefix, onePlus: true, tolerance: 1e-3,
		keys: object{
			"attention.sliding_window": uint32(6), "attention.sliding_window_pattern": uint32(3), "rope.freq_base": float32(1e6),
			"rope.scaling.type": "linear", "rope.scaling.factor": float32(8),
		}, config: object{
			"model_type": "gemma3_text", "head_dim": genDim, "sliding_window": 6, "sliding_window_pattern": 3, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
			"rope_scaling": object{"rope_type": "linear", "factor": 8}, "query_pre_attn_scalar": genDim,
			"hidden_activation": "gelu_pytorch_tanh",
		},
	},
	{
		name: "phi2", arch: "phi2", ends: "token_embd output_norm+ output+", keys: object{"rope.dimension_count": uint32(4)},
		layer: "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output+ ffn_up+ ffn_down+", prefix: layerPrefix, tolerance: 1e-3,
		names:  llamaNames + " output_norm=model.final_layernorm attn_output=self_attn.dense ffn_up=mlp.fc1 ffn_down=mlp.fc2",
		config: object{"model_type": "phi", "partial_rotary_factor": 0.5, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "rms_norm_eps": nil},
	},
	{
		name: "phi3", arch: "phi3", ends: "token_embd output_norm output", prefix: layerPrefix,
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: map[string][]int{"ffn_up": {2 * genFeed, genHidden}},
		names: llamaNames + " ffn_up=mlp.gate_up_proj", config: object{"model_type": "phi3"},
	},
	{
		name: "phi3-longrope", arch: "phi3", ends: "token_embd output_norm output rope_factors_long rope_factors_short",
		layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: map[string][]int{"ffn_up": {2 * genFeed, genHidden}},
		keys: object{"rope.scaling.original_context_length": uint32(16), "rope.scaling.attn_factor": float32(1.25)},
	},
	{
		name: "gpt2", arch: "gpt2", ends: "token_embd position_embd output_norm+", layer: gptLayer, shapes: wholeQKV, keys: manyHead,
		names:  hNames + " attn_norm=ln_1 attn_qkv=attn.c_attn attn_output=attn.c_proj ffn_norm=ln_2 ffn_up=mlp.c_fc ffn_down=mlp.c_proj",
		prefix: hPrefix, transposed: true, tolerance: 1e-3,
		config: and(gptSizes, object{"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}),
	},
	{
		name: "gptneox", arch: "gptneox", ends: gptEnds, layer: gptLayer, shapes: wholeQKV, grouped: true, prefix: "gpt_neox.layers.",
		names:     neo("token_embd=gpt_neox.embed_in output_norm=gpt_neox.final_layer_norm output=embed_out", "attention"),
		keys:      and(manyHead, object{"use_parallel_residual": true, "rope.dimension_count": uint32(2)}),
		config:    object{"model_type": "gpt_neox", "num_key_value_heads": nil, "rotary_pct": 0.25, "hidden_act": "gelu_fast"},
		tolerance: 1e-3,
	},
	{
		name: "gptneox-sequential", arch: "gptneox", ends: gptEnds, layer: gptLayer, shapes: wholeQKV,
		keys: and(manyHead, object{"use_parallel_residual": false}), tolerance: 1e-3,
	},
	{
		name: "starcoder2", arch: "starcoder2", ends: "token_embd output_norm+", prefix: layerPrefix, tolerance: 1e-3,
		layer:  "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output+ ffn_norm+ ffn_up+ ffn_down+",
		names:  llamaNames + " ffn_up=mlp.c_fc ffn_down=mlp.c_proj",
		config: object{"model_type": "starcoder2", "hidden_act": "gelu_pytorch_tanh", "norm_epsilon": 1e-5, "rms_norm_eps": nil},
	},
	{
		name: "falcon-7b", arch: "falcon", ends: "token_embd output_norm+ output", layer: "attn_norm+ attn_qkv attn_output ffn_up ffn_down",
		shapes: map[string][]int{"attn_qkv": {genQ + 2*genDim, genHidden}, "ffn_up": {128, genHidden}, "ffn_down": {genHidden, 128}},
		keys:   object{"attention.head_count_kv": uint32(1), "feed_forward_length": uint32(128)}, grouped: true, prefix: hPrefix,
		names:     neo("token_embd=transformer.word_embeddings output_norm=transformer.ln_f output=lm_head", "self_attention"),
		config:    object{"model_type": "falcon", "multi_query": true, "intermediate_size": nil, "activation": "gelu_fast", "layer_norm_epsilon": 1e-5},
		tolerance: 1e-3,
	},
	{
		name: "falcon-40b", arch: "falcon", ends: "token_embd output_norm+ output", grouped: true, prefix: hPrefix, tolerance: 1e-3,
		layer: "attn_norm_2+ attn_norm+ attn_qkv attn_output ffn_up ffn_down",
		names: neo("token_embd=transformer.word_embeddings output_norm=transformer.ln_f output=lm_head", "self_attention") +
			" attn_norm_2=ln_attn attn_norm=ln_mlp",
		config: object{
			"model_type": "falcon", "new_decoder_architecture": true, "num_kv_heads": genKV, "ffn_hidden_size": genFeed,
			"intermediate_size": nil, "activation": "gelu_fast", "layer_norm_epsilon": 1e-5, "num_key_value_heads": nil,
		},
	},
	{
		name: "mpt", arch: "mpt", prefix: "transformer.blocks.",
		names: "token_embd=transformer.wte output_norm=transformer.norm_f attn_norm=norm_1 attn_qkv=attn.Wqkv attn_output=attn.out_proj" +
			" ffn_norm=norm_2 ffn_up=ffn.up_proj ffn_down=ffn.down_proj",
		config: object{
			"model_type": "mpt", "d_model": genHidden, "n_layers": genLayers, "n_heads": genHeads, "max_seq_len": genContext,
			"expansion_ratio": genFeed / float64(genHidden), "attn_config": object{"alibi": true, "clip_qkv": 1.5}, "hidden_size": nil,
			"num_hidden_layers": nil, "num_attention_heads": nil, "num_key_value_heads": nil, "intermediate_size": nil, "rms_norm_eps": nil,
		}, folderTolerance: 2e-3, // folders of MPT have GELU itself, other engines its approximation
		ends: "token_embd output_norm", layer: "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down",
		shapes: wholeQKV, keys: and(manyHead, object{"attention.max_alibi_bias": float32(8), "attention.clamp_kqv": float32(1.5)}),
		tolerance: 1e-3,
	},
	{
		name: "bloom", arch: "bloom", ends: "token_embd token_embd_norm+ output_norm+ output", layer: gptLayer, shapes: wholeQKV,
		keys: manyHead, grouped: true, prefix: hPrefix, tolerance: 1e-3,
		names: neo("token_embd=transformer.word_embeddings token_embd_norm=transformer.word_embeddings_layernorm"+
			" output_norm=transformer.ln_f output=lm_head", "self_attention"),
		config: and(gptSizes, object{"model_type": "bloom", "layer_norm_epsilon": 1e-5}),
	},
	{
		name: "stablelm", arch: "stablelm", ends: gptEnds, keys: object{"rope.dimension_count": uint32(2)}, prefix: layerPrefix,
		layer: "attn_norm+ attn_q+ attn_k+ attn_v+ attn_output ffn_norm+ ffn_gate ffn_up ffn_down",
		names: llamaNames, config: object{"model_type": "stablelm", "partial_rotary_factor": 0.25, "layer_norm_eps": 1e-5, "rms_norm_eps": nil},
	},
	{
		name: "stablelm-parallel", arch: "stablelm", ends: gptEnds,
		layer:  "attn_norm+ attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_gate ffn_up ffn_down",
		shapes: map[string][]int{"attn_q_norm": {genHeads, genDim}, "attn_k_norm": {genKV, genDim}},
	},
	{
		name: "olmo2", arch: "olmo2", ends: llamaEnds, prefix: layerPrefix,
		layer:  "attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm post_attention_norm ffn_gate ffn_up ffn_down post_ffw_norm",
		shapes: map[string][]int{"attn_q_norm": {genQ}, "attn_k_norm": {genKVWidth}},
		names:  llamaNames + " post_attention_norm=post_attention_layernorm post_ffw_norm=post_feedforward_layernorm",
		config: object{"model_type": "olmo2"},
	},
	{
		name: "olmo3", arch: "olmo2", ends: llamaEnds, prefix: layerPrefix,
		layer:  "attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm post_attention_norm ffn_gate ffn_up ffn_down post_ffw_norm",
		shapes: map[string][]int{"attn_q_norm": {genQ}, "attn_k_norm": {genKVWidth}},
		keys: object{
			"attention.sliding_window": uint32(5), "rope.scaling.type": "yarn", "rope.scaling.factor": float32(4),
			"rope.scaling.original_context_length": uint32(16),
		},
		names: llamaNames + " post_attention_norm=post_attention_layernorm post_ffw_norm=post_feedforward_layernorm",
		config: object{
			"model_type": "olmo3", "sliding_window": 5,
			"layer_types":  []string{"sliding_attention", "sliding_attention", "sliding_attention", "full_attention"},
			"rope_scaling": object{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16},
		},
	},
	{
		name: "command-r", arch: "command-r", ends: "token_embd output_norm", keys: object{"logit_scale": float32(0.5)},
		layer: "attn_norm attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down", names: llamaNames, prefix: layerPrefix,
		config: object{"model_type": "cohere", "logit_scale": 0.5, "layer_norm_eps": 1e-5, "rms_norm_eps": nil},
	},
	{
		name: "cohere2", arch: "cohere2", ends: "token_embd output_norm",
		keys:  object{"logit_scale": float32(0.5), "attention.sliding_window": uint32(5)},
		layer: "attn_norm attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down", names: llamaNames, prefix: layerPrefix,
		config: object{
			"model_type": "cohere2", "logit_scale": 0.5, "layer_norm_eps": 1e-5, "rms_norm_eps": nil, "sliding_window": 5,
			"sliding_window_pattern": 4,
		},
	},
	{
		name: "glm4", arch: "glm4", ends: llamaEnds, prefix: layerPrefix, keys: object{"rope.dimension_count": uint32(4)},
		layer:  "attn_norm attn_q+ attn_k+ attn_v+ attn_output post_attention_norm ffn_norm ffn_up ffn_down post_ffw_norm",
		shapes: map[string][]int{"ffn_up": {2 * genFeed, genHidden}},
		names:  llamaNames + " post_attention_norm=post_self_attn_layernorm post_ffw_norm=post_mlp_layernorm ffn_up=mlp.gate_up_proj",
		config: object{"model_type": "glm4", "partial_rotary_factor": 0.5, "head_dim": genDim},
	},
	{name: "gpt-oss", arch: "gpt-oss", ends: llamaEnds, keys: and(moeKeys, object{
		"attention.sliding_window": uint32(5), "rope.scaling.type": "yarn", "rope.scaling.factor": float32(8),
		"rope.scaling.original_context_length": uint32(16),
	}), layer: "attn_norm attn_q+ attn_k+ attn_v+ attn_output+ attn_sinks post_attention_norm ffn_gate_inp+ ffn_gate_exps+" +
		" ffn_up_exps+ ffn_down_exps+", prefix: layerPrefix, names: moeNames + " attn_sinks=self_attn.sinks" +
		" post_attention_norm=post_attention_layernorm ffn_gate_inp=mlp.router", config: object{
		"model_type": "gpt_oss", "num_local_experts": genExperts, "num_experts_per_tok": 3, "intermediate_size": genExpertFeed,
		"sliding_window": 5, "hidden_act": "silu", "head_dim": genDim, "rope_theta": 1e4,
		"layer_types": []string{"sliding_attention", "full_attention", "sliding_attention", "full_attention"},
		"rope_scaling": object{
			"rope_type": "yarn", "factor": 8, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1,
		},
	}, rewrite: func(tensors map[string]toyTensor) {
		fuse("mlp.experts.%d.gate_proj", "mlp.experts.%d.up_proj", "mlp.experts.%d.down_proj", "mlp.experts.gate_up_proj",
			"mlp.experts.down_proj", true, true)(tensors)
		for l := range genLayers {
			name := fmt.Sprintf("model.layers.%d.self_attn.sinks", l)
			tensors[name] = tensors[name+".weight"]
			delete(tensors, name+".weight")
		}
	}},
	{
		name: "granitemoe", arch: "granitemoe", ends: llamaEnds, layer: moeLayer + " ffn_gate_shexp ffn_up_shexp ffn_down_shexp",
		keys: and(moeKeys, object{
			"logit_scale": float32(3), "residual_scale": float32(0.75), "embedding_scale": float32(2), "attention.scale": float32(0.25),
			"feed_forward_length": uint32(genExpertFeed), "expert_shared_feed_forward_length": uint32(genExpertFeed),
		}),
		names: llamaNames + " ffn_gate_inp=block_sparse_moe.router.layer ffn_gate_exps=experts.%d.gate ffn_up_exps=experts.%d.up" +
			" ffn_down_exps=experts.%d.down ffn_gate_shexp=shared_mlp.gate ffn_up_shexp=shared_mlp.up" +
			" ffn_down_shexp=shared_mlp.output_linear",
		prefix: layerPrefix, permuted: true, config: object{
			"model_type": "granitemoeshared", "logits_scaling": 3, "residual_multiplier": 0.75, "embedding_multiplier": 2,
			"attention_multiplier": 0.25, "num_local_experts": genExperts, "num_experts_per_tok": 3,
			"intermediate_size": genExpertFeed, "shared_intermediate_size": genExpertFeed,
		},
		rewrite: func(tensors map[string]toyTensor) {
			fuse("experts.%d.gate", "experts.%d.up", "experts.%d.down", "block_sparse_moe.input_linear.weight",
				"block_sparse_moe.output_linear.weight", false, false)(tensors)
			pack("shared_mlp.input_linear", "shared_mlp.gate", "shared_mlp.up")(tensors)
		},
	},
	{
		name: "olmoe", arch: "olmoe", ends: llamaEnds, layer: moeLayer + " attn_q_norm attn_k_norm", names: moeNames, prefix: layerPrefix,
		shapes: map[string][]int{
			"attn_q_norm": {genQ}, "attn_k_norm": {genQ}, "attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden},
		}, keys: and(moeKeys, manyHead, object{"feed_forward_length": uint32(genExpertFeed)}),
		config: object{
			"model_type": "olmoe", "num_experts": genExperts, "num_experts_per_tok": 3, "intermediate_size": genExpertFeed,
			"num_key_value_heads": genHeads,
		},
	},
	{
		name: "arcee", arch: "arcee", ends: llamaEnds, layer: strings.Replace(llamaLayer, "ffn_gate ", "", 1), names: llamaNames,
		prefix: layerPrefix, permuted: true, config: object{"model_type": "arcee", "hidden_act": "relu2"},
	},
	{
		name: "nemotron", arch: "nemotron", ends: gptEnds, prefix: layerPrefix, keys: object{"rope.dimension_count": uint32(4)},
		layer: "attn_norm+ attn_q attn_k attn_v attn_output ffn_norm+ ffn_up ffn_down", names: llamaNames, onePlus: true,
		config: object{"model_type": "nemotron", "hidden_act": "relu2", "norm_eps": 1e-5, "rms_norm_eps": nil},
	},
	{
		name: "starcoder", arch: "starcoder", ends: "token_embd position_embd output_norm+", layer: gptLayer, tolerance: 1e-3,
		shapes: map[string][]int{"attn_qkv": {genQ + 2*genDim, genHidden}}, keys: object{"attention.head_count_kv": uint32(1)},
		names:  hNames + " attn_norm=ln_1 attn_qkv=attn.c_attn attn_output=attn.c_proj ffn_norm=ln_2 ffn_up=mlp.c_fc ffn_down=mlp.c_proj",
		prefix: hPrefix, config: and(gptSizes, object{
			"model_type": "gpt_bigcode", "activation_function": "gelu_pytorch_tanh", "layer_norm_epsilon": 1e-5,
		}),
	},
	{
		name: "gptj", arch: "gptj", ends: "token_embd output_norm+ output+", keys: and(manyHead, object{"rope.dimension_count": uint32(4)}),
		shapes: map[string][]int{"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}}, like: "phi2",
		layer: "attn_norm+ attn_q attn_k attn_v attn_output ffn_up+ ffn_down+", prefix: hPrefix,
		names: hNames + " attn_norm=ln_1 attn_q=attn.q_proj attn_k=attn.k_proj attn_v=attn.v_proj attn_output=attn.out_proj" +
			" ffn_up=mlp.fc_in ffn_down=mlp.fc_out",
		config: and(gptSizes, object{"model_type": "gptj", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "rotary_dim": 4}),
	},
	absorbedModel(),
	latentModel("deepseek2", "softmax", 1, object{"q_lora_rank": 20}),
	latentModel("deepseek3", "sigmoid", 2, object{"q_lora_rank": 20, "scoring_func": "sigmoid", "topk_method": "noaux_tc"}),
}

// absorbedModel is a DeepSeek model whose keys and values are made by matrices of each head, in the form that needs no key.
func absorbedModel() generated {
	g := latentModel("deepseek2-absorbed", "softmax", 1, nil)
	g.names = ""
	g.layer = strings.Replace(g.layer, "attn_kv_b", "attn_k_b attn_v_b", 1)
	g.shapes["attn_k_b"], g.shapes["attn_v_b"] = []int{genHeads, 16, 6}, []int{genHeads, 10, 16}
	for key, value := range map[string]uint32{
		"head_count_kv": 1, "key_length": 20, "value_length": 16, "key_length_mla": 10, "value_length_mla": 10,
	} {
		g.keys["attention."+key] = value
	}
	return g
}

// latentModel is a DeepSeek model: its first layer has no experts, the others three groups of two.
func latentModel(name, kind string, gating uint32, config object) generated {
	const rank, plain, rotated, value, query = 16, 6, 4, 10, 20
	g := generated{
		name: name, arch: "deepseek2", ends: llamaEnds, prefix: layerPrefix,
		layer: "attn_norm attn_q_a attn_q_a_norm attn_q_b attn_kv_a_mqa attn_kv_a_norm attn_kv_b attn_output ffn_norm" +
			" 0:ffn_gate 0:ffn_up 0:ffn_down 1-ffn_gate_inp 1-ffn_gate_exps 1-ffn_up_exps 1-ffn_down_exps" +
			" 1-ffn_gate_shexp 1-ffn_up_shexp 1-ffn_down_shexp",
		shapes: map[string][]int{
			"attn_q_a": {query, genHidden}, "attn_q_a_norm": {query}, "attn_q_b": {genHeads * (plain + rotated), query},
			"attn_kv_a_mqa": {rank + rotated, genHidden}, "attn_kv_a_norm": {rank},
			"attn_kv_b": {genHeads * (plain + value), rank}, "attn_output": {genHidden, genHeads * value},
			"ffn_gate_shexp": {2 * genExpertFeed, genHidden}, "ffn_up_shexp": {2 * genExpertFeed, genHidden},
			"ffn_down_shexp": {genHidden, 2 * genExpertFeed},
		},
		keys: and(moeKeys, object{
			"attention.head_count_kv": uint32(genHeads), "attention.key_length": uint32(plain + rotated),
			"attention.value_length": uint32(value), "attention.kv_lora_rank": uint32(rank), "attention.q_lora_rank": uint32(query),
			"rope.dimension_count": uint32(rotated), "leading_dense_block_count": uint32(1), "expert_shared_count": uint32(2),
			"expert_weights_scale": float32(1.5), "expert_gating_func": gating, "rope.scaling.type": "yarn",
			"rope.scaling.factor": float32(4), "rope.scaling.original_context_length": uint32(16),
			"rope.scaling.yarn_log_multiplier": float32(0.0707),
		}),
		names: moeNames + " attn_q_a=self_attn.q_a_proj attn_q_a_norm=self_attn.q_a_layernorm attn_q_b=self_attn.q_b_proj" +
			" attn_kv_a_mqa=self_attn.kv_a_proj_with_mqa attn_kv_a_norm=self_attn.kv_a_layernorm attn_kv_b=self_attn.kv_b_proj" +
			" ffn_gate_shexp=mlp.shared_experts.gate_proj ffn_up_shexp=mlp.shared_experts.up_proj" +
			" ffn_down_shexp=mlp.shared_experts.down_proj exp_probs_b=mlp.gate.e_score_correction_bias",
		config: and(config, object{
			"model_type": "deepseek_v2", "num_key_value_heads": genHeads, "kv_lora_rank": rank, "qk_nope_head_dim": plain,
			"qk_rope_head_dim": rotated, "v_head_dim": value, "n_routed_experts": genExperts, "num_experts_per_tok": 3,
			"moe_intermediate_size": genExpertFeed, "n_shared_experts": 2, "first_k_dense_replace": 1, "routed_scaling_factor": 1.5,
			"rope_scaling": object{
				"type": "yarn", "factor": 4, "original_max_position_embeddings": 16, "mscale": 0.707, "mscale_all_dim": 0.707,
				"beta_fast": 32, "beta_slow": 1,
			},
		}),
	}
	if kind == "sigmoid" {
		g.layer += " 1-exp_probs_b.bias"
		g.keys["expert_weights_norm"], g.config["norm_topk_prob"] = true, true
		g.keys["expert_group_count"], g.keys["expert_group_used_count"] = uint32(3), uint32(2)
		g.config["n_group"], g.config["topk_group"], g.config["model_type"] = 3, 2, "deepseek_v3"
	}
	g.tolerance = math.Ldexp(1, -12)
	return g
}
