package inference

import (
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

var activations = map[string]kernel.Activation{
	"silu": kernel.SiLU, "swish": kernel.SiLU, "gelu": kernel.GELU, "gelu_new": kernel.GELUTanh, "gelu_fast": kernel.GELUTanh,
	"gelu_pytorch_tanh": kernel.GELUTanh, "relu": kernel.ReLU, "relu2": kernel.ReLUSquared, "swiglu": kernel.SiLU,
}

// The names that configurations use for the sizes of a model.
var (
	layerKeys   = []string{"num_hidden_layers", "n_layer", "n_layers", "num_layers"}
	hiddenKeys  = []string{"hidden_size", "n_embd", "d_model", "dim"}
	feedKeys    = []string{"intermediate_size", "n_inner", "ffn_hidden_size", "hidden_dim"}
	headKeys    = []string{"num_attention_heads", "n_head", "n_heads"}
	kvKeys      = []string{"num_key_value_heads", "num_kv_heads", "n_head_kv"}
	contextKeys = []string{"max_position_embeddings", "n_positions", "max_seq_len", "seq_length"}
	epsilonKeys = []string{"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"}
	actKeys     = []string{"hidden_activation", "hidden_act", "activation_function", "activation"}
)

func (d *Description) fromConfig(c config) error {
	fam := d.family
	first := func(def int, keys []string) int { return c.integer(c.firstOf(keys...), def) }
	d.Layers = first(0, layerKeys)
	d.Hidden = first(0, hiddenKeys)
	d.Heads = first(0, headKeys)
	d.KVHeads = first(d.Heads, kvKeys)
	d.Context = first(2048, contextKeys)
	if d.Hidden < 0 || d.Hidden > maxHidden || d.Layers < 0 || d.Layers > maxLayers || d.Heads < 0 || d.Heads > maxHeads {
		return d.check(&container{})
	}
	d.FeedForward = first(4*d.Hidden, feedKeys)
	eps := 1e-6
	switch {
	case fam.epsilon > 0:
		eps = fam.epsilon
	case fam.layerNorm:
		eps = 1e-5
	}
	d.NormEpsilon = float32(c.float(c.firstOf(epsilonKeys...), eps))
	d.TiedEmbeddings = c.boolean("tie_word_embeddings", fam.tied)
	if d.Heads > 0 {
		d.HeadDim = c.integer("head_dim", d.Hidden/d.Heads)
	}
	d.ValueDim = d.HeadDim
	d.Predicting = max(0, c.integer("num_nextn_predict_layers", 0))
	if act := c.text(c.firstOf(actKeys...), ""); act != "" && fam.activation != kernel.ClampedSwiGLU {
		a, ok := activations[act]
		if !ok {
			return fault.NewUnsupported("architecture", "activation %q", act)
		}
		d.Activation = a
	}
	if fam.parallelKey {
		d.Parallel = c.boolean("use_parallel_residual", true)
	}
	if fam.afterPadding {
		d.PositionOffset = c.integer("pad_token_id", 1) + 1
	}
	if !c.boolean("is_causal", true) || c.boolean("use_bidirectional_attention", false) {
		d.Bidirectional = true
	}
	if err := d.peculiar(c); err != nil {
		return err
	}
	scale := c.float("attention_multiplier", 0)
	if q := c.float("query_pre_attn_scalar", 0); q > 0 {
		scale = 1 / math.Sqrt(q)
	}
	d.setScale(scale)
	if fam.attentionCap > 0 {
		d.AttentionCap = float32(c.float("attn_logit_softcapping", 0))
	}
	if fam.logitCap {
		d.LogitCap = float32(c.float("final_logit_softcapping", 0))
	}
	d.scalesFromConfig(c)
	if err := d.windowFromConfig(c); err != nil {
		return err
	}
	if err := d.expertsFromConfig(c); err != nil {
		return err
	}
	return d.ropeFromConfig(c)
}

// peculiar reads what only one architecture's configuration says in its way.
func (d *Description) peculiar(c config) error {
	switch d.Architecture {
	case "falcon":
		if c.boolean("alibi", false) {
			return fault.NewUnsupported("architecture", "Falcon with ALiBi")
		}
		d.Parallel = c.boolean("parallel_attn", true)
		if !d.Parallel {
			return fault.NewUnsupported("architecture", "Falcon without parallel attention")
		}
		if c.boolean("new_decoder_architecture", false) {
			break
		}
		d.KVHeads = d.Heads
		if c.boolean("multi_query", true) {
			d.KVHeads = 1
		}
	case "mpt":
		attention := c.object("attn_config")
		if !attention.boolean("alibi", false) {
			d.AlibiBias = 0
		}
		d.AlibiBias *= attention.float("alibi_bias_max", 8) / 8
		d.ClampQKV = float32(attention.float("clip_qkv", 0))
		d.KVHeads = attention.integer("kv_n_heads", d.Heads)
		d.FeedForward = int(min(c.float("expansion_ratio", 4), 64) * float64(d.Hidden))
		d.Activation = kernel.GELU
		if attention.text("attn_type", "multihead_attention") == "multiquery_attention" {
			d.KVHeads = 1
		}
	case "starcoder":
		if d.KVHeads = d.Heads; c.boolean("multi_query", true) {
			d.KVHeads = 1
		}
	case "olmo":
		d.ClampQKV = float32(c.float("clip_qkv", 0))
	case "mistral3":
		rope := c.object("rope_parameters")
		if beta := rope.float("llama_4_scaling_beta", 0); beta != 0 {
			floor := rope.integer("original_max_position_embeddings", d.Context)
			d.Temperature = TemperatureDescription{Floor: floor, Scale: beta, Everywhere: true}
		}
	case "baichuan":
		d.NormalisedOutput = c["z_loss_weight"] != nil
	case "llama4":
		d.fromLlama4(c)
	case "bert", "roberta", "xlm-roberta", "camembert":
		if kind := c.text("position_embedding_type", "absolute"); kind != "absolute" {
			return fault.NewUnsupported("architecture", "position embeddings of type %q", kind)
		}
		if c.boolean("is_decoder", false) {
			return fault.NewUnsupported("architecture", "an encoder's graph used as a decoder")
		}
	case "modern-bert":
		if act := c.text("classifier_activation", "gelu"); act != "gelu" {
			return fault.NewUnsupported("architecture", "activation %q of a head", act)
		}
	case "nomic-bert":
		switch {
		case c.boolean("prenorm", false), c.boolean("use_rms_norm", false), c["rotary_emb_scale_base"] != nil,
			c.boolean("rotary_emb_interleaved", false):
			return fault.NewUnsupported("architecture", "a nomic-bert with other norms or positions")
		case c.integer("moe_every_n_layers", 0) > 0:
			return fault.NewUnsupported("architecture", "experts in some layers only")
		}
	case "minicpm":
		if c.integer("num_experts", 0) > 0 {
			return fault.NewUnsupported("architecture", "MiniCPM with experts")
		}
	}
	return nil
}

// fromLlama4 reads what layers without rotation have in its place.
func (d *Description) fromLlama4(c config) {
	d.RotatedNorm = c.boolean("use_qk_norm", true)
	if with, ok := c["no_rope_layers"].([]any); ok && len(with) > 0 {
		rotated := config{"layers": with}.integers("layers")
		d.unrotated(func(l int) bool { return l < len(rotated) && rotated[l] == 0 })
	} else if step := c.integer("no_rope_layer_interval", 4); step > 0 {
		d.unrotated(func(l int) bool { return l%step == step-1 })
	}
	if on := c["attn_temperature_tuning"]; on != false && on != 0.0 {
		d.Temperature = TemperatureDescription{Floor: c.integer("floor_scale", 8192), Offset: 1, Scale: c.float("attn_scale", 0.1)}
	}
	if d.Window, d.Chunked = max(0, c.integer("attention_chunk_size", 8192)), true; d.Window > 0 {
		d.Windowed = make([]bool, len(d.Unrotated))
		for l, unrotated := range d.Unrotated {
			d.Windowed[l] = !unrotated
		}
	}
}

func (d *Description) scalesFromConfig(c config) {
	switch d.family.scaled {
	case cohereScales:
		d.LogitScale = or1(c.float("logit_scale", 0.0625))
	case graniteScales:
		d.EmbeddingScale = or1(c.float("embedding_multiplier", 1))
		d.ResidualScale = or1(c.float("residual_multiplier", 1))
		d.LogitScale = 1 / or1(c.float("logits_scaling", 1))
	case minicpmScales:
		d.EmbeddingScale = or1(c.float("scale_emb", 1))
		d.ResidualScale = or1(c.float("scale_depth", 1) / math.Sqrt(float64(max(d.Layers, 1))))
		d.LogitScale = or1(c.float("dim_model_base", 1) / float64(max(d.Hidden, 1)))
	}
}

func (d *Description) windowFromConfig(c config) error {
	fam := d.family
	switch {
	case d.Chunked:
		return nil
	case fam.window == 0:
		if c.boolean("use_sliding_window", false) {
			return fault.NewUnsupported("architecture", "a sliding window")
		}
		return nil
	case fam.windowSwitch && !c.boolean("use_sliding_window", false):
		return nil
	}
	d.Window = max(0, c.integer(c.firstOf("local_attention", "sliding_window"), 0))
	if types, ok := c["layer_types"].([]any); ok {
		if len(types) < d.Layers {
			return &fault.Malformed{Format: configName, Where: "layer_types", Offset: -1, Reason: "it does not cover all layers"}
		}
		for _, t := range types {
			if t != "sliding_attention" && t != "full_attention" {
				return fault.NewUnsupported("architecture", "layers of type %v", t)
			}
			d.Windowed = append(d.Windowed, t == "sliding_attention")
		}
		return nil
	}
	if fam.windowSwitch {
		from := c.integer("max_window_layers", d.Layers)
		for l := range d.Layers {
			d.Windowed = append(d.Windowed, l >= from)
		}
		return nil
	}
	d.windowPattern(c.integer(c.firstOf("sliding_window_pattern", "global_attn_every_n_layers"), fam.window))
	return nil
}

func (d *Description) expertsFromConfig(c config) error {
	n := c.integer(c.firstOf("num_local_experts", "num_experts", "n_routed_experts"), 0)
	if n <= 0 {
		return nil
	}
	e := &ExpertDescription{
		Count: n, Used: c.integer("num_experts_per_tok", 2), FeedForward: c.integer("moe_intermediate_size", d.FeedForward),
		Shared:     c.integer(c.firstOf("shared_expert_intermediate_size", "shared_intermediate_size"), 0),
		Normalised: d.family.normalised, Scale: 1,
	}
	d.Experts = e
	if err := d.expertLayersFromConfig(c); err != nil {
		return err
	}
	switch {
	case d.Architecture == "qwen2moe" || d.Architecture == "qwen3moe" || d.Architecture == "olmoe" || d.family.expertKeys:
		e.Normalised = c.boolean("norm_topk_prob", d.Architecture == "glm4moe")
	case d.family.sparseMixer:
		return d.mixSparsely(c.float("router_jitter_noise", 0.01))
	case d.Architecture == "llama4":
		d.FeedForward = c.integer("intermediate_size_mlp", d.FeedForward)
		e.Shared, e.Sigmoid, e.WeighedInput, e.Used = e.FeedForward, true, true, c.integer("num_experts_per_tok", 1)
	}
	if !d.family.expertKeys {
		return nil
	}
	if shared := c.integer("n_shared_experts", 0); shared > 0 && shared <= maxExperts && e.FeedForward <= maxFeed {
		e.Shared = shared * e.FeedForward
	}
	e.Scale = or1(c.float("routed_scaling_factor", 1))
	third := slices.Contains([]string{"deepseek_v3", "glm4_moe", "dots1"}, c.text("model_type", ""))
	scoring, method := "softmax", "greedy"
	if third {
		scoring, method = "sigmoid", "noaux_tc"
	}
	e.Sigmoid = c.text("scoring_func", scoring) == "sigmoid"
	switch method = c.text("topk_method", method); method {
	case "greedy":
		return nil
	case "noaux_tc":
		e.GroupBySum = true
	case "group_limited_greedy":
	default:
		return fault.NewUnsupported("architecture", "experts chosen by method %q", method)
	}
	if e.Groups = c.integer("n_group", 1); e.Groups > 1 {
		e.UsedGroups = c.integer("topk_group", 1)
	} else {
		e.Groups = 0
	}
	return nil
}

// mixSparsely makes SparseMixer choose experts.
func (d *Description) mixSparsely(jitter float64) error {
	if d.Experts.Used != 2 || !(jitter > 0) {
		return fault.NewUnsupported("architecture", "%d experts chosen by SparseMixer with a jitter of %g", d.Experts.Used, jitter)
	}
	d.Experts.Jitter = jitter
	return nil
}

// expertLayersFromConfig reads which layers have experts, each architecture's configuration in its way.
func (d *Description) expertLayersFromConfig(c config) error {
	if first := c.integer("first_k_dense_replace", 0); first > 0 {
		d.withExperts(func(l int) bool { return l >= first })
	}
	for key, last := range map[string]int{"moe_layer_freq": 0, "decoder_sparse_step": 1, "interleave_moe_layer_step": 1} {
		// Counting layers from 0 or 1, those have experts whose number the step divides.
		switch step := c.integer(key, 1); {
		case step < 1:
			return &fault.Malformed{Format: configName, Where: key, Offset: -1, Reason: fmt.Sprintf("a step of %d layers", step)}
		case step > 1:
			d.withExperts(func(l int) bool { return (l+last)%step == 0 })
		}
	}
	if dense := c.integers("mlp_only_layers"); len(dense) > 0 {
		d.withExperts(func(l int) bool { return !slices.Contains(dense, l) })
	}
	if with, ok := c["moe_layers"].([]any); ok {
		layers := config{"layers": with}.integers("layers")
		d.withExperts(func(l int) bool { return slices.Contains(layers, l) })
	}
	return nil
}

func (d *Description) ropeFromConfig(c config) error {
	fam := d.family
	if fam.unrotated {
		return nil
	}
	rope := c.object("rope_parameters")
	if rope == nil {
		rope = c.object("rope_scaling")
	}
	var local config
	if full := rope.object("full_attention"); full != nil {
		local, rope = rope.object("sliding_attention"), full
	}
	base := rope.float("rope_theta", c.float(c.firstOf("rope_theta", "rotary_emb_base", "global_rope_theta"), 10000))
	def := 1.0
	switch d.Architecture {
	case "phi2", "glm4", "glm4moe", "nemotron":
		def = 0.5
	case "stablelm", "gptneox":
		def = 0.25
	}
	part := rope.float("partial_rotary_factor", c.float(c.firstOf("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction"), def))
	rotated := float64(d.HeadDim) * part
	if fam.latent {
		rotated = float64(c.integer("qk_rope_head_dim", 64))
	} else if d.Architecture == "gptj" {
		rotated = float64(c.integer("rotary_dim", d.HeadDim))
	}
	if !(rotated >= 0 && rotated <= maxHeadDim) {
		rotated = 0
	}
	d.Rope = newRope(fam.folderAdjacent, base, int(rotated))
	switch fam.localRope {
	case ownRope:
		r := newRope(fam.folderAdjacent, local.float("rope_theta", c.float(c.firstOf("rope_local_base_freq", "local_rope_theta"), 10000)), int(rotated))
		d.LocalRope = &r
	case plainRope:
		r := newRope(fam.folderAdjacent, local.float("rope_theta", base), int(rotated))
		d.LocalRope = &r
	}
	if err := d.Rope.fromFolder(rope, base, d.Context, c.integer("original_max_position_embeddings", 0)); err != nil {
		return err
	}
	if !fam.latent {
		return nil
	}
	sharpen := 1.0
	if all := rope.float("mscale_all_dim", 0); all != 0 {
		sharpen = yarnScale(rope.float("factor", 1), all)
	}
	d.Latent = &LatentDescription{
		QueryRank: c.integer("q_lora_rank", 0), Rank: c.integer("kv_lora_rank", 0), Rotated: int(rotated),
		Plain: c.integer("qk_nope_head_dim", 0), Value: c.integer("v_head_dim", d.Hidden/max(d.Heads, 1)),
	}
	d.setLatent(sharpen * sharpen)
	return nil
}
