package inference

import (
	"strings"

	"github.com/carat-hub/carat/inference/kernel"
)

// tensorNames says what files call the tensors of a model. Layer names have the layer's number in place of %d, expert names a
// second one. An empty name says that the architecture has no such tensor.
type tensorNames struct {
	// prefix may be missing from all names.
	prefix                           string
	embedding, positions, types      string
	embeddingNorm, norm, output      string
	attentionNorm, postAttention     string
	feedForwardNorm, postFeedForward string
	// norms of what a half leaves in the residual stream
	afterAttention, afterFeedForward                      string
	relativeBias                                          string
	q, k, v, qkv, o, qNorm, kNorm, sinks                  string
	qHeadNorm, kHeadNorm                                  string // of one head, which has a number of its own
	gate, up, gateUp, down, activationScale               string
	router, expertSelection                               string
	expertGate, expertUp, expertDown                      string // of all experts, or with a second %d of one
	expertGateUp                                          string
	expertDowns                                           string // of all experts, beside expertGateUp; "" when it is expertDown
	sharedGate, sharedUp, sharedDown, sharedRouter        string
	sharedGateUp                                          string
	queryDown, queryDownNorm, queryUp                     string
	latentDown, latentNorm, latentKey, latentValue, latUp string
	ropeFactors, ropeLong, ropeShort                      string
	// alternative norms of a layer whose attention and feed-forward halves are normalised apart.
	splitAttentionNorm, splitFeedForwardNorm string
	// The heads on top of the final states: for a text as a whole, for each token, and for the vocabulary.
	classifier, tagger, masked headNames
	// dense are matrices behind the pooling of embeddings, which may be missing.
	dense []string
	// grouped says that the rows of qkv come as the query heads, key head and value head of one group after another.
	grouped bool
	// transposed says that matrices of layers are stored with their inputs first.
	transposed bool
	// expertsTransposed says it of the experts' matrices that are one tensor, and expertsInterleaved that the rows of gate and up
	// come in turn there.
	expertsTransposed, expertsInterleaved bool
	// ignored are tensors that have no part in running the model.
	ignored []string
}

func ggufNames(change func(*tensorNames)) *tensorNames {
	n := &tensorNames{
		embedding: "token_embd", positions: "position_embd", embeddingNorm: "token_embd_norm", norm: "output_norm", output: "output",
		attentionNorm: "blk.%d.attn_norm", feedForwardNorm: "blk.%d.ffn_norm",
		q: "blk.%d.attn_q", k: "blk.%d.attn_k", v: "blk.%d.attn_v", qkv: "blk.%d.attn_qkv", o: "blk.%d.attn_output",
		qNorm: "blk.%d.attn_q_norm", kNorm: "blk.%d.attn_k_norm", sinks: "blk.%d.attn_sinks.weight",
		gate: "blk.%d.ffn_gate", up: "blk.%d.ffn_up", gateUp: "blk.%d.ffn_up", down: "blk.%d.ffn_down",
		activationScale: "blk.%d.ffn.act.scales",
		router:          "blk.%d.ffn_gate_inp", expertSelection: "blk.%d.exp_probs_b.bias",
		expertGate: "blk.%d.ffn_gate_exps", expertUp: "blk.%d.ffn_up_exps", expertDown: "blk.%d.ffn_down_exps",
		expertGateUp: "blk.%d.ffn_gate_up_exps",
		sharedGate:   "blk.%d.ffn_gate_shexp", sharedUp: "blk.%d.ffn_up_shexp", sharedDown: "blk.%d.ffn_down_shexp",
		sharedRouter: "blk.%d.ffn_gate_inp_shexp",
		queryDown:    "blk.%d.attn_q_a", queryDownNorm: "blk.%d.attn_q_a_norm", queryUp: "blk.%d.attn_q_b",
		latentDown: "blk.%d.attn_kv_a_mqa", latentNorm: "blk.%d.attn_kv_a_norm",
		latentKey: "blk.%d.attn_k_b", latentValue: "blk.%d.attn_v_b", latUp: "blk.%d.attn_kv_b",
		ropeFactors: "rope_freqs.weight", ropeLong: "rope_factors_long.weight", ropeShort: "rope_factors_short.weight",
		classifier: headNames{dense: "cls", activation: kernel.Tanh, norm: "cls.norm", out: "cls.output"},
	}
	if change != nil {
		change(n)
	}
	return n
}

// postNorms are the names of models that normalise what a half adds to the residual stream.
func postNorms(n *tensorNames) {
	n.postAttention, n.postFeedForward = "blk.%d.post_attention_norm", "blk.%d.post_ffw_norm"
}

// folderNames are the names that most models in Hugging Face's layout use.
func folderNames(change func(*tensorNames)) *tensorNames {
	const layer, attention, mlp = "model.layers.%d.", "model.layers.%d.self_attn.", "model.layers.%d.mlp."
	n := &tensorNames{
		prefix: "model.", embedding: "model.embed_tokens", norm: "model.norm", output: "lm_head",
		attentionNorm: layer + "input_layernorm", feedForwardNorm: layer + "post_attention_layernorm",
		q: attention + "q_proj", k: attention + "k_proj", v: attention + "v_proj", qkv: attention + "qkv_proj", o: attention + "o_proj",
		qNorm: attention + "q_norm", kNorm: attention + "k_norm",
		gate: mlp + "gate_proj", up: mlp + "up_proj", gateUp: mlp + "gate_up_proj", down: mlp + "down_proj",
		router: mlp + "gate", expertSelection: mlp + "gate.e_score_correction_bias",
		expertGate: mlp + "experts.%d.gate_proj", expertUp: mlp + "experts.%d.up_proj", expertDown: mlp + "experts.%d.down_proj",
		sharedGate: mlp + "shared_expert.gate_proj", sharedUp: mlp + "shared_expert.up_proj",
		sharedDown: mlp + "shared_expert.down_proj", sharedRouter: mlp + "shared_expert_gate",
		queryDown: attention + "q_a_proj", queryDownNorm: attention + "q_a_layernorm", queryUp: attention + "q_b_proj",
		latentDown: attention + "kv_a_proj_with_mqa", latentNorm: attention + "kv_a_layernorm", latUp: attention + "kv_b_proj",
		classifier: headNames{out: "score"},
	}
	if change != nil {
		change(n)
	}
	return n
}

// withoutFeedForwardNorm is for blocks whose halves share one norm.
func withoutFeedForwardNorm(n *tensorNames) { n.feedForwardNorm = "" }

func mixtralNames(n *tensorNames) {
	const moe = "model.layers.%d.block_sparse_moe."
	n.router = moe + "gate"
	n.expertGate, n.expertUp, n.expertDown = moe+"experts.%d.w1", moe+"experts.%d.w3", moe+"experts.%d.w2"
}

func gemmaNames(n *tensorNames) {
	n.postAttention, n.feedForwardNorm = n.feedForwardNorm, "model.layers.%d.pre_feedforward_layernorm"
	n.postFeedForward = "model.layers.%d.post_feedforward_layernorm"
}

func olmo2Names(n *tensorNames) {
	n.attentionNorm, n.feedForwardNorm = "", ""
	n.postAttention, n.postFeedForward = "model.layers.%d.post_attention_layernorm", "model.layers.%d.post_feedforward_layernorm"
}

func glm4Names(n *tensorNames) {
	n.postAttention, n.postFeedForward = "model.layers.%d.post_self_attn_layernorm", "model.layers.%d.post_mlp_layernorm"
}

func deepseekNames(n *tensorNames) {
	n.sharedGate = strings.Replace(n.sharedGate, "shared_expert", "shared_experts", 1)
	n.sharedUp = strings.Replace(n.sharedUp, "shared_expert", "shared_experts", 1)
	n.sharedDown = strings.Replace(n.sharedDown, "shared_expert", "shared_experts", 1)
	n.sharedRouter = ""
}

func llama4Names(n *tensorNames) {
	const feed = "model.layers.%d.feed_forward."
	n.gate, n.up, n.gateUp, n.down, n.router = feed+"gate_proj", feed+"up_proj", "", feed+"down_proj", feed+"router"
	n.expertGate, n.expertUp, n.expertDown = feed+"experts.%d.gate_proj", feed+"experts.%d.up_proj", feed+"experts.%d.down_proj"
	n.expertGateUp, n.expertDowns, n.expertsTransposed = feed+"experts.gate_up_proj", feed+"experts.down_proj", true
	n.sharedGate, n.sharedUp, n.sharedDown = feed+"shared_expert.gate_proj", feed+"shared_expert.up_proj", feed+"shared_expert.down_proj"
	n.sharedRouter = ""
}

func gptOSSNames(n *tensorNames) {
	const mlp = "model.layers.%d.mlp."
	n.sinks, n.router = "model.layers.%d.self_attn.sinks", mlp+"router"
	n.expertGateUp, n.expertDowns = mlp+"experts.gate_up_proj", mlp+"experts.down_proj"
	n.expertsTransposed, n.expertsInterleaved = true, true
}

func graniteMoENames(n *tensorNames) {
	const moe, shared = "model.layers.%d.block_sparse_moe.", "model.layers.%d.shared_mlp."
	n.router, n.expertGateUp, n.expertDowns = moe+"router.layer", moe+"input_linear", moe+"output_linear"
	n.sharedGateUp, n.sharedDown, n.sharedRouter = shared+"input_linear", shared+"output_linear", ""
}

func baichuanNames(n *tensorNames) { n.qkv = "model.layers.%d.self_attn.W_pack" }

func exaoneNames(n *tensorNames) {
	plainNames(n, "transformer.h.%d.", "ln_1", "ln_2", "attn.attention.out_proj", "mlp.c_fc_1", "mlp.c_proj")
	const attention = "transformer.h.%d.attn.attention."
	n.prefix, n.embedding, n.norm, n.gate = "transformer.", "transformer.wte", "transformer.ln_f", "transformer.h.%d.mlp.c_fc_0"
	n.q, n.k, n.v = attention+"q_proj", attention+"k_proj", attention+"v_proj"
}

func plainNames(n *tensorNames, layer, norm1, norm2, o, up, down string) {
	n.attentionNorm, n.feedForwardNorm, n.o = layer+norm1, layer+norm2, layer+o
	n.gate, n.gateUp, n.up, n.down = "", "", layer+up, layer+down
}

func gpt2Names(n *tensorNames) {
	plainNames(n, "transformer.h.%d.", "ln_1", "ln_2", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
	n.prefix, n.transposed = "transformer.", true
	n.embedding, n.positions, n.norm = "transformer.wte", "transformer.wpe", "transformer.ln_f"
	n.qkv = "transformer.h.%d.attn.c_attn"
}

// starcoderNames are GPT-2's names for matrices stored with their outputs first. With as many keys as queries they are stored head
// by head, with one it is the same.
func starcoderNames(n *tensorNames) {
	gpt2Names(n)
	n.transposed, n.grouped = false, true
}

func gptjNames(n *tensorNames) {
	plainNames(n, "transformer.h.%d.", "ln_1", "ln_2", "attn.out_proj", "mlp.fc_in", "mlp.fc_out")
	n.prefix, n.feedForwardNorm = "transformer.", ""
	n.embedding, n.norm = "transformer.wte", "transformer.ln_f"
	n.q, n.k, n.v = "transformer.h.%d.attn.q_proj", "transformer.h.%d.attn.k_proj", "transformer.h.%d.attn.v_proj"
}

func gptneoxNames(n *tensorNames) {
	plainNames(n, "gpt_neox.layers.%d.", "input_layernorm", "post_attention_layernorm", "attention.dense",
		"mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
	n.prefix, n.grouped = "gpt_neox.", true
	n.embedding, n.norm, n.output = "gpt_neox.embed_in", "gpt_neox.final_layer_norm", "embed_out"
	n.qkv = "gpt_neox.layers.%d.attention.query_key_value"
}

func bloomNames(n *tensorNames) {
	plainNames(n, "transformer.h.%d.", "input_layernorm", "post_attention_layernorm", "self_attention.dense",
		"mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
	n.prefix, n.grouped = "transformer.", true
	n.embedding, n.embeddingNorm = "transformer.word_embeddings", "transformer.word_embeddings_layernorm"
	n.norm, n.qkv = "transformer.ln_f", "transformer.h.%d.self_attention.query_key_value"
}

func falconNames(n *tensorNames) {
	bloomNames(n)
	n.embeddingNorm, n.feedForwardNorm = "", ""
	n.splitAttentionNorm, n.splitFeedForwardNorm = "transformer.h.%d.ln_attn", "transformer.h.%d.ln_mlp"
}

func mptNames(n *tensorNames) {
	plainNames(n, "transformer.blocks.%d.", "norm_1", "norm_2", "attn.out_proj", "ffn.up_proj", "ffn.down_proj")
	n.prefix = "transformer."
	n.embedding, n.positions, n.norm = "transformer.wte", "transformer.wpe", "transformer.norm_f"
	n.qkv = "transformer.blocks.%d.attn.Wqkv"
	n.qNorm, n.kNorm = "transformer.blocks.%d.attn.q_ln", "transformer.blocks.%d.attn.k_ln"
}

func phi2Names(n *tensorNames) {
	plainNames(n, "model.layers.%d.", "input_layernorm", "", "self_attn.dense", "mlp.fc1", "mlp.fc2")
	n.norm, n.feedForwardNorm = "model.final_layernorm", ""
}

func starcoder2Names(n *tensorNames) {
	n.gate, n.gateUp = "", ""
	n.up, n.down = "model.layers.%d.mlp.c_fc", "model.layers.%d.mlp.c_proj"
}

func stablelmNames(n *tensorNames) {
	n.qHeadNorm = "model.layers.%d.self_attn.q_layernorm.norms.%%d"
	n.kHeadNorm = "model.layers.%d.self_attn.k_layernorm.norms.%%d"
}

func internlm2Names(n *tensorNames) {
	const layer = "model.layers.%d."
	n.embedding, n.output, n.grouped = "model.tok_embeddings", "output", true
	n.attentionNorm, n.feedForwardNorm = layer+"attention_norm", layer+"ffn_norm"
	n.qkv, n.o = layer+"attention.wqkv", layer+"attention.wo"
	n.gate, n.up, n.down = layer+"feed_forward.w1", layer+"feed_forward.w3", layer+"feed_forward.w2"
}
