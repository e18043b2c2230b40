package reference

import (
	"maps"
	"math"
	"strings"
)

// Names of tensors in folders, shared by architectures. A later pair for the same role wins.
const (
	llamaNames = "token_embd=model.embed_tokens output_norm=model.norm output=lm_head attn_norm=@input_layernorm " +
		"attn_q=@self_attn.q_proj attn_k=@self_attn.k_proj attn_v=@self_attn.v_proj attn_output=@self_attn.o_proj " +
		"ffn_norm=@post_attention_layernorm ffn_gate=@mlp.gate_proj ffn_up=@mlp.up_proj ffn_down=@mlp.down_proj " +
		"attn_q_norm=@self_attn.q_norm attn_k_norm=@self_attn.k_norm "
	expertNames = "ffn_gate_inp=@mlp.gate ffn_gate_exps=@mlp.experts.%d.gate_proj ffn_up_exps=@mlp.experts.%d.up_proj " +
		"ffn_down_exps=@mlp.experts.%d.down_proj "
	sharedNames = "ffn_gate_shexp=@mlp.shared_expert.gate_proj ffn_up_shexp=@mlp.shared_expert.up_proj " +
		"ffn_down_shexp=@mlp.shared_expert.down_proj ffn_gate_inp_shexp=@mlp.shared_expert_gate "
	mixtralNames = llamaNames + "ffn_gate_inp=@block_sparse_moe.gate ffn_gate_exps=@block_sparse_moe.experts.%d.w1 " +
		"ffn_up_exps=@block_sparse_moe.experts.%d.w3 ffn_down_exps=@block_sparse_moe.experts.%d.w2 "
	// Models with norms after both halves keep the name of Llama's second norm for the first of them.
	postNames = "post_attention_norm=@post_attention_layernorm post_ffw_norm=@post_feedforward_layernorm "
	gptNames  = "token_embd=transformer.wte position_embd=transformer.wpe output_norm=transformer.ln_f output=lm_head attn_norm=@ln_1 " +
		"attn_qkv=@attn.c_attn attn_output=@attn.c_proj ffn_norm=@ln_2 ffn_up=@mlp.c_fc ffn_down=@mlp.c_proj "
	// The names of GPT-NeoX, BLOOM and Falcon; a percent sign stands for what each calls its attention.
	neoNames = "attn_norm=@input_layernorm attn_qkv=@%.query_key_value attn_output=@%.dense ffn_norm=@post_attention_layernorm " +
		"ffn_up=@mlp.dense_h_to_4h ffn_down=@mlp.dense_4h_to_h "
)

func neo(attention string) string { return strings.ReplaceAll(neoNames, "%", attention) }

const (
	layersName = "model.layers.%d."
	hName      = "transformer.h.%d."
)

// architectures are known by the names that GGUF files use for them and by the model_type of folders.
var architectures = func() map[string]architecture {
	llamaLike := architecture{names: llamaNames, layers: layersName, ggufAdjacent: true, activation: SiLU, read: readLlama}
	llama := llamaLike
	llama.feedFactors, llama.expertFactors = true, true
	qwen := architecture{names: llamaNames, layers: layersName, activation: SiLU, read: readQwen2}
	qwenMoE := with(qwen, llamaNames+expertNames+sharedNames, readQwenMoE)
	qwen3, qwen3MoE := with(qwen, llamaNames, readQwen2), qwenMoE
	qwen3.feedFactors, qwen3MoE.expertFactors = true, true
	gemma := architecture{names: llamaNames, layers: layersName, plusOne: true, activation: GELUTanh}
	gemmaPosted := llamaNames + postNames + "ffn_norm=@pre_feedforward_layernorm"
	gpt := architecture{layers: hName, layerNorm: true, activation: GELUTanh}
	phi2 := with(gpt, llamaNames+"output_norm=model.final_layernorm attn_output=@self_attn.dense ffn_up=@mlp.fc1 ffn_down=@mlp.fc2", readPhi2)
	phi2.layers, phi2.rotated = layersName, 0.5
	phi3 := with(qwen, llamaNames+"attn_qkv=@self_attn.qkv_proj ffn_up=@mlp.gate_up_proj", readMistral)
	phi3.fusedGate = true
	gptj := with(gpt, "token_embd=transformer.wte output_norm=transformer.ln_f output=lm_head attn_norm=@ln_1 attn_q=@attn.q_proj "+
		"attn_k=@attn.k_proj attn_v=@attn.v_proj attn_output=@attn.out_proj ffn_up=@mlp.fc_in ffn_down=@mlp.fc_out", readPhi2)
	gptj.ggufAdjacent, gptj.folderAdjacent = true, true
	gpt2 := with(gpt, gptNames, readGPT2)
	gpt2.transposed, gpt2.prefix = true, "transformer."
	starcoder := with(gpt, gptNames, readStarCoder)
	starcoder2 := with(gpt, llamaNames+"ffn_up=@mlp.c_fc ffn_down=@mlp.c_proj", readMistral)
	starcoder2.layers = layersName
	neox := with(gpt, "token_embd=gpt_neox.embed_in output_norm=gpt_neox.final_layer_norm output=embed_out "+neo("attention"), readNeoX)
	neox.layers, neox.grouped, neox.rotated = "gpt_neox.layers.%d.", true, 0.25
	falcon := with(gpt, "token_embd=transformer.word_embeddings output_norm=transformer.ln_f output=lm_head "+neo("self_attention")+
		"attn_norm_2=@ln_attn", readFalcon)
	falcon.grouped, falcon.prefix = true, "transformer."
	bloom := with(gpt, "token_embd=transformer.word_embeddings token_embd_norm=transformer.word_embeddings_layernorm "+
		"output_norm=transformer.ln_f output=lm_head "+neo("self_attention"), readBLOOM)
	bloom.grouped, bloom.prefix = true, "transformer."
	mpt := with(gpt, "token_embd=transformer.wte position_embd=transformer.wpe output_norm=transformer.norm_f attn_norm=@norm_1 "+
		"attn_qkv=@attn.Wqkv attn_output=@attn.out_proj attn_q_norm=@attn.q_ln attn_k_norm=@attn.k_ln ffn_norm=@norm_2 "+
		"ffn_up=@ffn.up_proj ffn_down=@ffn.down_proj", readMPT)
	mpt.layers = "transformer.blocks.%d."
	stablelm := architecture{
		names:  llamaNames + "head_q_norm=@self_attn.q_layernorm.norms.%d head_k_norm=@self_attn.k_layernorm.norms.%d",
		layers: layersName, layerNorm: true, activation: SiLU, rotated: 0.25, read: readStableLM,
	}
	olmo2 := with(qwen, llamaNames+postNames, readOLMo2)
	cohere := architecture{
		names: llamaNames, layers: layersName, ggufAdjacent: true, folderAdjacent: true, layerNorm: true, activation: SiLU,
		read: readCohere,
	}
	cohere2 := with(cohere, llamaNames, readCohere2)
	cohere2.feedFactors = true
	glm4 := with(qwen, llamaNames+"ffn_up=@mlp.gate_up_proj post_attention_norm=@post_self_attn_layernorm "+
		"post_ffw_norm=@post_mlp_layernorm", readLlama)
	glm4.ggufAdjacent, glm4.folderAdjacent, glm4.rotated, glm4.fusedGate = true, true, 0.5, true
	nemotron := architecture{
		names: llamaNames, layers: layersName, layerNorm: true, plusOne: true, activation: ReLUSquared, rotated: 0.5, read: readLlama,
	}
	internlm2 := with(llamaLike, "token_embd=model.tok_embeddings output_norm=model.norm output=output attn_norm=@attention_norm "+
		"attn_qkv=@attention.wqkv attn_output=@attention.wo ffn_norm=@ffn_norm ffn_gate=@feed_forward.w1 ffn_up=@feed_forward.w3 "+
		"ffn_down=@feed_forward.w2", readLlama)
	internlm2.grouped = true
	arcee := with(llamaLike, llamaNames, readLlama)
	arcee.activation = ReLUSquared
	gptOSS := with(qwen, llamaNames+"post_attention_norm=@post_attention_layernorm attn_sinks=@self_attn.sinks "+
		"ffn_gate_inp=@mlp.router ffn_gate_up_exps=@mlp.experts.gate_up_proj ffn_gate_up_exps.bias=@mlp.experts.gate_up_proj_bias "+
		"ffn_down_exps=@mlp.experts.down_proj ffn_down_exps.bias=@mlp.experts.down_proj_bias", readGPTOSS)
	gptOSS.expertsTransposed, gptOSS.expertsAlternate = true, true
	graniteMoE := with(llamaLike, llamaNames+"ffn_gate_inp=@block_sparse_moe.router.layer "+
		"ffn_gate_up_exps=@block_sparse_moe.input_linear ffn_down_exps=@block_sparse_moe.output_linear "+
		"ffn_up_shexp=@shared_mlp.input_linear ffn_down_shexp=@shared_mlp.output_linear", readGranite)
	graniteMoE.fusedShared = true
	llama4 := with(llamaLike, llamaNames+"ffn_gate=@feed_forward.gate_proj ffn_up=@feed_forward.up_proj "+
		"ffn_down=@feed_forward.down_proj ffn_gate_inp=@feed_forward.router ffn_gate_up_exps=@feed_forward.experts.gate_up_proj "+
		"ffn_down_exps=@feed_forward.experts.down_proj ffn_gate_shexp=@feed_forward.shared_expert.gate_proj "+
		"ffn_up_shexp=@feed_forward.shared_expert.up_proj ffn_down_shexp=@feed_forward.shared_expert.down_proj", readLlama4)
	llama4.folderAdjacent, llama4.expertsTransposed = true, true
	glm4MoE := with(qwen, llamaNames+expertNames+strings.ReplaceAll(sharedNames, "shared_expert.", "shared_experts.")+
		"exp_probs_b.bias=@mlp.gate.e_score_correction_bias post_attention_norm=@post_attention_layernorm", readGLM4MoE)
	glm4MoE.rotated = 0.5
	deepseek := architecture{
		names: llamaNames + expertNames + strings.ReplaceAll(sharedNames, "shared_expert.", "shared_experts.") +
			"exp_probs_b.bias=@mlp.gate.e_score_correction_bias attn_q_a=@self_attn.q_a_proj attn_q_a_norm=@self_attn.q_a_layernorm " +
			"attn_q_b=@self_attn.q_b_proj attn_kv_a_mqa=@self_attn.kv_a_proj_with_mqa attn_kv_a_norm=@self_attn.kv_a_layernorm " +
			"attn_kv_b=@self_attn.kv_b_proj",
		layers: layersName, ggufAdjacent: true, folderAdjacent: true, activation: SiLU, read: readDeepSeek,
	}
	phiMoE := with(qwen, mixtralNames, readPhiMoE)
	phiMoE.layerNorm = true
	orion := with(qwen, llamaNames, readLlama)
	orion.layerNorm = true
	ernie := with(llamaLike, llamaNames, readLlama)
	ernie.folderAdjacent = true
	exaone := with(qwen, "token_embd=transformer.wte output_norm=transformer.ln_f output=lm_head attn_norm=@ln_1 attn_q=@attn.attention.q_proj "+
		"attn_k=@attn.attention.k_proj attn_v=@attn.attention.v_proj attn_output=@attn.attention.out_proj ffn_norm=@ln_2 "+
		"ffn_gate=@mlp.c_fc_0 ffn_up=@mlp.c_fc_1 ffn_down=@mlp.c_proj", readLlama)
	exaone.layers = hName
	deepseekV1 := with(deepseek, deepseek.names, readDeepSeekMoE)
	deepseekV1.folderAdjacent = false
	olmo := with(llamaLike, llamaNames, readOLMo)
	olmo.layerNorm, olmo.noGains = true, true
	ministral := with(llama, llamaNames, readMinistral)
	all := map[string]architecture{
		"xverse": with(llamaLike, llamaNames, readLlama), "orion": orion, "ernie4_5": ernie, "exaone": exaone,
		"exaone4":  with(qwen, llamaNames+postNames, readEXAONE4),
		"seed_oss": with(qwen, llamaNames+"post_attention_norm=@post_attention_layernorm", readSeedOSS),
		"deepseek": deepseekV1, "dots1": with(qwen, deepseek.names, readDeepSeekMoE), "olmo": olmo,
		"minicpm3": with(qwen, deepseek.names, readMiniCPM3), "mistral3": ministral, "ministral3": ministral,
		"llama": llama, "mistral": with(llama, llamaNames, readMistral),
		"mixtral": with(llama, mixtralNames, readMistral),
		"smollm3": with(llamaLike, llamaNames, readSmolLM3), "granite": with(llamaLike, llamaNames, readGranite),
		"granitemoe": graniteMoE, "granitemoeshared": graniteMoE, "minicpm": with(llamaLike, llamaNames, readMiniCPM),
		"internlm2": internlm2, "arcee": arcee,
		"qwen2": qwen, "qwen2moe": qwenMoE, "qwen2_moe": qwenMoE, "qwen3": qwen3,
		"qwen3moe": qwen3MoE, "qwen3_moe": qwen3MoE, "olmoe": with(qwen, llamaNames+expertNames, readOLMoE),
		"gemma": with(gemma, llamaNames, readGemma), "gemma2": with(gemma, gemmaPosted, readGemma2),
		"gemma3": with(gemma, gemmaPosted, readGemma3), "gemma3_text": with(gemma, gemmaPosted, readGemma3),
		"phi": phi2, "phi2": phi2, "gptj": gptj, "phi3": phi3,
		"gpt2": gpt2, "starcoder": starcoder, "gpt_bigcode": starcoder, "starcoder2": starcoder2,
		"gptneox": neox, "gpt_neox": neox, "falcon": falcon, "mpt": mpt, "bloom": bloom,
		"stablelm": stablelm, "olmo2": olmo2, "olmo3": olmo2, "command-r": cohere, "cohere": cohere,
		"cohere2": cohere2, "glm4": glm4, "nemotron": nemotron,
		"gpt-oss": gptOSS, "gpt_oss": gptOSS, "llama4": llama4, "llama4_text": llama4, "glm4moe": glm4MoE, "glm4_moe": glm4MoE,
		"baichuan": with(llamaLike, llamaNames+"attn_qkv=@self_attn.W_pack", readBaichuan), "phimoe": phiMoE,
		"deepseek2": deepseek, "deepseek_v2": deepseek, "deepseek_v3": deepseek,
	}
	maps.Copy(all, encoders())
	return all
}()

func with(a architecture, names string, read func(r *reader) *Model) architecture {
	a.names, a.read = names, read
	return a
}

// windowed tells the layers that see a window: what the configuration lists, or else all but the last of each n.
func (r *reader) windowed(l, n int) bool {
	if list := r.list("attention.sliding_window_pattern", "layer_types"); list != nil {
		return list[l] == true || list[l] == "sliding_attention"
	}
	n = r.integer("attention.sliding_window_pattern", "sliding_window_pattern", n)
	return l%n != n-1
}

func (r *reader) window() int { return r.integer("attention.sliding_window", "sliding_window", 0) }

// queryScalar sets the factor of the scores from the number whose root divides them.
func (r *reader) queryScalar(a *Attention) {
	if q := r.number("", "query_pre_attn_scalar", 0); q != 0 {
		a.Scale = 1 / math.Sqrt(q)
	}
}
