package inference

import (
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
)

// keys reads the metadata of one architecture.
type keys struct {
	g    *gguf.File
	name string
}

// integer returns the whole number at key, or the first where there is one for each layer, and def when it is missing.
func (k keys) integer(key string, def int) int {
	if each, _ := k.each(key); len(each) > 0 {
		return each[0]
	}
	return clampInt(k.g.Int(k.name+"."+key, int64(def)))
}

func clampInt(n int64) int { return int(min(max(n, -1), math.MaxInt32)) }

// each returns the numbers of a key that has one for each layer, and whether they differ; nil for other keys. More than there can
// be layers are none.
func (k keys) each(key string) (numbers []int, differ bool) {
	if v, _ := k.g.Value(k.name + "." + key); v.Kind != gguf.Array || v.Len > maxLayers {
		return nil, false
	}
	all, err := k.g.Ints(k.name + "." + key)
	if err != nil {
		return nil, false
	}
	for _, n := range all {
		numbers = append(numbers, clampInt(n))
		differ = differ || n != all[0]
	}
	return numbers, differ
}

func (k keys) float(key string, def float64) float64 { return k.g.Float(k.name+"."+key, def) }

// positive returns the number at key, or def when it is missing or 0.
func (k keys) positive(key string, def float64) float64 {
	if f := k.float(key, def); f != 0 {
		return f
	}
	return def
}

// headCountsFromGGUF reads the numbers of heads, of which each layer may have its own.
func (d *Description) headCountsFromGGUF(k keys) error {
	d.Heads = k.integer("attention.head_count", 0)
	d.KVHeads = k.integer("attention.head_count_kv", d.Heads)
	queries, differ := k.each("attention.head_count")
	shared, sharedDiffer := k.each("attention.head_count_kv")
	if !differ && !sharedDiffer || d.Layers < 1 || d.Layers > maxLayers {
		return nil
	}
	// all returns the numbers of all layers, of which each key may have one.
	all := func(each []int, one int) []int {
		if each == nil {
			return slices.Repeat([]int{one}, d.Layers)
		}
		return each[:min(len(each), d.Layers)]
	}
	d.LayerHeads = all(queries, d.Heads)
	if _, ok := k.g.Value(k.name + ".attention.head_count_kv"); ok {
		d.LayerKVHeads = all(shared, d.KVHeads)
	} else {
		d.LayerKVHeads = d.LayerHeads
	}
	if len(d.LayerHeads) < d.Layers || len(d.LayerKVHeads) < d.Layers {
		return &fault.Malformed{Format: "gguf", Where: k.name + ".attention.head_count", Offset: -1, Reason: "the numbers of heads do not cover all layers"}
	}
	d.Heads, d.KVHeads = slices.Max(d.LayerHeads), slices.Max(d.LayerKVHeads)
	return nil
}

func (d *Description) fromGGUF(g *gguf.File, name string) error {
	k, fam := keys{g, name}, d.family
	for _, key := range []string{
		"expert_feed_forward_length", "expert_count", "expert_used_count",
	} {
		if _, differ := k.each(key); differ {
			return fault.NewUnsupported("architecture", "%s differs between layers", key)
		}
	}
	d.Predicting = max(0, k.integer("nextn_predict_layers", 0))
	d.Layers = k.integer("block_count", 0) - d.Predicting
	d.Hidden = k.integer("embedding_length", 0)
	d.FeedForward = k.integer("feed_forward_length", 0)
	if widths, differ := k.each("feed_forward_length"); differ {
		if len(widths) < d.Layers {
			return &fault.Malformed{Format: "gguf", Where: name + ".feed_forward_length", Offset: -1, Reason: "the widths do not cover all layers"}
		}
		d.FeedForwards, d.FeedForward = widths, slices.Max(widths)
	}
	if err := d.headCountsFromGGUF(k); err != nil {
		return err
	}
	d.Context = k.integer("context_length", 0)
	if _, ok := g.Value(name + ".attention.layer_norm_rms_epsilon"); fam.layerNorm && (!ok || !fam.sparseMixer) {
		d.NormEpsilon = float32(k.float("attention.layer_norm_epsilon", 1e-5))
	} else {
		d.NormEpsilon = float32(k.float("attention.layer_norm_rms_epsilon", 1e-5))
	}
	if d.Heads > 0 {
		first, _ := d.heads(0)
		d.HeadDim = k.integer("attention.key_length", d.Hidden/max(first, 1))
	}
	value := d.HeadDim
	if name == "minicpm3" && d.Heads > 0 {
		value = d.Hidden / d.Heads
	}
	d.ValueDim = k.integer("attention.value_length", value)
	if d.ValueDim != d.HeadDim && !fam.latent {
		return fault.NewUnsupported("architecture", "values of %d elements beside keys of %d", d.ValueDim, d.HeadDim)
	}
	d.setScale(k.float("attention.scale", 0))
	if !g.Bool(name+".attention.causal", true) {
		d.Bidirectional = true
	}
	if act := g.Text(name+".hidden_activation", ""); act != "" && fam.encoder {
		a, ok := activations[act]
		if !ok {
			return fault.NewUnsupported("architecture", "activation %q", act)
		}
		d.Activation = a
	}
	if fam.parallelKey {
		d.Parallel = g.Bool(name+".use_parallel_residual", true)
	}
	if fam.attentionCap > 0 {
		d.AttentionCap = float32(k.float("attn_logit_softcapping", fam.attentionCap))
	}
	if fam.logitCap {
		def := 0.0
		if fam.attentionCap > 0 {
			def = 30
		}
		d.LogitCap = float32(k.float("final_logit_softcapping", def))
	}
	if name == "mpt" { // whose models without ALiBi say 0
		d.AlibiBias = max(0, k.float("attention.max_alibi_bias", 0))
	}
	if fam.clampQKV {
		d.ClampQKV = float32(k.float("attention.clamp_kqv", 0))
	}
	switch name {
	case "llama4":
		d.fromLlama4GGUF(k)
	case "mistral3":
		if scale := k.float("attention.temperature_scale", 0); scale != 0 {
			floor := k.integer("rope.scaling.original_context_length", d.Context)
			d.Temperature = TemperatureDescription{Floor: floor, Scale: scale, Everywhere: true}
		}
	}
	d.scalesFromGGUF(k)
	if err := d.windowFromGGUF(k); err != nil {
		return err
	}
	if err := d.expertsFromGGUF(k); err != nil {
		return err
	}
	return d.ropeFromGGUF(k)
}

// fromLlama4GGUF sets what files do not tell, but for a window of 0, which says that all layers are alike.
func (d *Description) fromLlama4GGUF(k keys) {
	d.RotatedNorm = k.integer("expert_count", 0) != 128
	if v, ok := k.g.Value(k.name + ".attention.sliding_window"); ok && v.Kind != gguf.Array && k.integer("attention.sliding_window", 0) == 0 {
		return
	}
	d.unrotated(func(l int) bool { return l%4 == 3 })
	d.Window, d.Chunked, d.Temperature = 8192, true, TemperatureDescription{Floor: 8192, Offset: 1, Scale: 0.1}
	d.windowPattern(4)
}

func (d *Description) scalesFromGGUF(k keys) {
	switch d.family.scaled {
	case cohereScales:
		d.LogitScale = or1(k.float("logit_scale", 1))
	case graniteScales, minicpmScales:
		embedding, residual, logits := 1.0, 1.0, 1.0
		if d.family.scaled == minicpmScales {
			embedding, residual, logits = 12, 1.4/math.Sqrt(float64(max(d.Layers, 1))), float64(max(d.Hidden, 1))/256
		}
		d.EmbeddingScale = float32(k.positive("embedding_scale", embedding))
		d.ResidualScale = float32(k.positive("residual_scale", residual))
		d.LogitScale = 1 / float32(k.positive("logit_scale", logits))
	}
}

func (d *Description) windowFromGGUF(k keys) error {
	if d.family.window == 0 {
		return nil
	}
	d.Window = max(0, k.integer("attention.sliding_window", 0))
	key := k.name + ".attention.sliding_window_pattern"
	if v, ok := k.g.Value(key); !ok || v.Kind != gguf.Array {
		d.windowPattern(k.integer("attention.sliding_window_pattern", d.family.window))
		return nil
	}
	if d.family.window == 1 {
		return nil
	}
	pattern, err := k.g.Ints(key)
	if err != nil {
		return err
	}
	if len(pattern) < d.Layers {
		return &fault.Malformed{Format: "gguf", Where: key, Offset: -1, Reason: "the pattern does not cover all layers"}
	}
	d.Windowed = make([]bool, len(pattern))
	for l, n := range pattern {
		d.Windowed[l] = n != 0
	}
	return nil
}

func (d *Description) expertsFromGGUF(k keys) error {
	n := k.integer("expert_count", 0)
	if n <= 0 {
		return nil
	}
	e := &ExpertDescription{
		Count: n, Used: k.integer("expert_used_count", 0),
		Shared: k.integer("expert_shared_feed_forward_length", 0), Normalised: d.family.normalised,
		Scale: float32(k.positive("expert_weights_scale", 1)),
	}
	d.Experts = e
	if first := k.integer("leading_dense_block_count", 0); first > 0 {
		d.withExperts(func(l int) bool { return l >= first })
	}
	e.FeedForward = k.integer("expert_feed_forward_length", 0)
	switch {
	case e.FeedForward == 0 && k.name == "qwen2moe" && e.Used > 0:
		e.FeedForward = d.FeedForward / e.Used
	case e.FeedForward == 0:
		e.FeedForward = d.FeedForward
	}
	if d.FeedForward == 0 {
		d.FeedForward = e.FeedForward
	}
	if k.name == "qwen2moe" && e.Shared == 0 {
		e.Shared = d.FeedForward
	}
	if d.Architecture == "llama4" {
		step := max(1, k.integer("interleave_moe_layer_step", 1))
		d.withExperts(func(l int) bool { return (l+1)%step == 0 })
		e.Shared, e.Sigmoid, e.WeighedInput = e.FeedForward, true, true
	}
	if d.family.sparseMixer {
		return d.mixSparsely(0.01)
	}
	if d.family.expertKeys {
		if n := k.integer("expert_shared_count", 0); n > 0 && n <= maxExperts && e.FeedForward <= maxFeed {
			e.Shared = n * e.FeedForward
		}
		e.Normalised = k.g.Bool(k.name+".expert_weights_norm", false)
		e.Groups, e.UsedGroups, e.GroupBySum = k.integer("expert_group_count", 0), k.integer("expert_group_used_count", 0), true
		if e.Groups <= 1 {
			e.Groups, e.UsedGroups = 0, 0
		}
		switch kind := k.integer("expert_gating_func", 0); kind {
		case 0, 1:
			e.Sigmoid = kind == 0 && d.Architecture == "glm4moe"
		case 2:
			e.Sigmoid = true
		default:
			return fault.NewUnsupported("architecture", "experts chosen by function %d", kind)
		}
	}
	return nil
}

func (d *Description) ropeFromGGUF(k keys) error {
	if d.family.unrotated {
		return nil
	}
	dim := k.integer("rope.dimension_count", d.HeadDim)
	base := k.float("rope.freq_base", 10000)
	adjacent := d.family.ropeAdjacent
	if sections, err := k.g.Ints(k.name + ".rope.dimension_sections"); err == nil && len(sections) >= 2 && sections[0] > 0 && sections[1] > 0 {
		// Pairs of several sections have the same position in text, and such files pair halves.
		adjacent = false
		if len(sections) > 3 && sections[3] > 0 && sections[0]+sections[1]+sections[2] < int64(dim/2) {
			return fault.NewUnsupported("architecture", "a fourth section of the rotary embedding")
		}
	}
	d.Rope = newRope(adjacent, base, dim)
	switch d.family.localRope {
	case ownRope:
		r := newRope(adjacent, k.float("rope.freq_base_swa", 10000), dim)
		d.LocalRope = &r
	case plainRope:
		r := newRope(adjacent, k.float("rope.freq_base_swa", base), dim)
		d.LocalRope = &r
	}
	sharpen, err := d.scaleFromGGUF(k, base)
	if err != nil {
		return err
	}
	if d.family.latent {
		d.latentFromGGUF(k, dim, sharpen)
	}
	return nil
}

// scaleFromGGUF scales d.Rope and returns the factor of the scores that YaRN wants beyond it.
func (d *Description) scaleFromGGUF(k keys, base float64) (sharpen float64, err error) {
	kind := k.g.Text(k.name+".rope.scaling.type", "linear") // as files older than the key want it
	factor := k.float("rope.scaling.factor", k.float("rope.scale_linear", 0))
	d.Rope.Original = k.integer("rope.scaling.original_context_length", d.Context)
	scale := k.positive("rope.scaling.attn_factor", 1)
	d.Rope.Scale = float32(scale)
	switch {
	case factor < 0:
		return 0, &fault.Malformed{Format: "gguf", Where: "rope.scaling.factor", Offset: -1, Reason: "the factor is negative"}
	case kind == "none" || factor == 0 || factor == 1:
		return 1, nil
	case kind == "linear" || kind == "" || kind == "longrope":
		d.Rope.linear(factor)
		return 1, nil
	case kind != "yarn":
		return 0, fault.NewUnsupported("architecture", "rope scaling %q", kind)
	}
	sharpen = 1
	switch weight := k.float("rope.scaling.yarn_log_multiplier", 0); {
	case d.family.latent:
		// The temperature acts on the scores as a whole, with the weight stored as a tenth of it.
		temperature := yarnScale(factor, weight*10)
		sharpen = temperature * temperature
		if weight == 0 {
			scale *= yarnScale(factor, 1)
			sharpen = yarnScale(factor, 1) * yarnScale(factor, 1)
		}
	case weight != 0:
		scale *= yarnScale(factor, 1) / yarnScale(factor, weight)
	default:
		scale *= yarnScale(factor, 1)
	}
	d.Rope.Scale = float32(scale)
	return sharpen, d.Rope.yarn(yarn{
		base: base, factor: factor, original: float64(d.Rope.Original), whole: true,
		fast: k.positive("rope.scaling.yarn_beta_fast", 32), slow: k.positive("rope.scaling.yarn_beta_slow", 1),
	})
}

func (d *Description) latentFromGGUF(k keys, rotated int, sharpen float64) {
	l := &LatentDescription{
		QueryRank: k.integer("attention.q_lora_rank", 0), Rank: k.integer("attention.kv_lora_rank", 0), Rotated: rotated,
	}
	// Files made before keys were absorbed into queries give the sizes of heads as such.
	l.Plain = k.integer("attention.key_length_mla", d.HeadDim) - rotated
	l.Value = k.integer("attention.value_length_mla", d.ValueDim)
	d.Latent = l
	d.setLatent(sharpen)
}
