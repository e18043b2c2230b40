package inference

import (
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/kernel"
)

// Description is what the decoder graph is built from: sizes and switches, read from config.json or from a GGUF file's keys.
type Description struct {
	// Architecture is the normalised name ("llama", "mistral", "qwen2").
	Architecture string
	Layers       int
	// Hidden is the width of the residual stream and FeedForward that of the gated layer.
	Hidden, FeedForward int
	// Heads query heads share KVHeads key and value heads of HeadDim elements.
	Heads, KVHeads, HeadDim int
	// Context is the longest sequence that the model was made for.
	Context     int
	NormEpsilon float32
	// AttentionScale multiplies the attention scores.
	AttentionScale float32
	// Window is how many positions a query sees, itself included; 0 means all.
	Window int
	// RopeAdjacent pairs neighbouring elements for the rotary embedding; otherwise the halves of the rotated dimensions.
	RopeAdjacent bool
	// RopeFrequencies is the angle per position of each pair, scaling applied; two elements are rotated by each.
	RopeFrequencies []float64
	// TiedEmbeddings says that the output layer is the embedding matrix, whether or not the files hold another.
	TiedEmbeddings bool
}

// family says what the graph needs to know of an architecture beyond its sizes.
type family struct {
	// ropeAdjacent is the pairing of GGUF files, whose converter permutes the rows of some architectures.
	ropeAdjacent bool
	// window says that config.json's sliding_window applies to every layer.
	window bool
	// feedForwardScales says that the feed-forward matrices of GGUF files can have a .scale tensor; elsewhere it has no effect.
	feedForwardScales bool
}

// families are the architectures that can be run.
var families = map[string]family{
	"llama":   {ropeAdjacent: true, feedForwardScales: true},
	"mistral": {ropeAdjacent: true, window: true, feedForwardScales: true},
	"qwen2":   {},
}

// architectureNames turns config.json's model_type into the name that GGUF files use where the two differ.
var architectureNames = map[string]string{
	"cohere": "command-r", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2", "gemma3_text": "gemma3",
	"gpt_bigcode": "starcoder", "gpt_neox": "gptneox", "gpt_oss": "gpt-oss", "granitemoe": "granitemoe", "phi": "phi2",
	"qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "xlm-roberta": "xlm-roberta",
}

// architecture returns the normalised name and the name as the files give it.
func (c *container) architecture() (normalised, given string) {
	if c.gguf != nil {
		given = c.gguf.Text("general.architecture", "")
		return strings.ToLower(given), given
	}
	given = c.config.firstText("architectures")
	name := strings.ToLower(c.config.text("model_type", ""))
	if name == "" {
		name = strings.ToLower(given)
		for _, suffix := range []string{"forcausallm", "formaskedlm", "forsequenceclassification", "forconditionalgeneration", "lmheadmodel", "model"} {
			name = strings.TrimSuffix(name, suffix)
		}
	}
	if same, ok := architectureNames[name]; ok {
		name = same
	}
	return name, given
}

// describe returns the description of a model that can be run. It returns a *fault.Unsupported for one that cannot and a
// *fault.Malformed for sizes that make no sense.
func (c *container) describe() (*Description, error) {
	name, given := c.architecture()
	fam, ok := families[name]
	switch {
	case name == "" && c.gguf == nil && c.config == nil:
		return nil, fault.NewUnsupported("model folder", "no config.json says what the tensors mean")
	case !ok:
		return nil, fault.NewUnsupported("architecture", "%q (%s) has no decoder here", given, name)
	}
	d := &Description{Architecture: name}
	var err error
	if c.gguf != nil {
		err = d.fromGGUF(c.gguf, name, fam)
	} else {
		err = d.fromConfig(c.config, fam)
	}
	if err != nil {
		return nil, err
	}
	return d, d.check(c)
}

func (d *Description) check(c *container) error {
	format := configName
	if c.gguf != nil {
		format = "gguf"
	}
	for _, f := range []struct {
		what       string
		value, max int
	}{
		{"layers", d.Layers, 1 << 12},
		{"hidden size", d.Hidden, 1 << 18},
		{"feed-forward size", d.FeedForward, 1 << 20},
		{"heads", d.Heads, 1 << 12},
		{"key and value heads", d.KVHeads, 1 << 12},
		{"head size", d.HeadDim, 1 << 14},
		{"context length", d.Context, 1 << 28},
	} {
		if f.value < 1 || f.value > f.max {
			return &fault.Malformed{Format: format, Where: f.what, Offset: -1, Reason: fmt.Sprintf("%d is not from 1 to %d", f.value, f.max)}
		}
	}
	switch {
	case d.Heads%d.KVHeads != 0:
		return &fault.Malformed{Format: format, Where: "heads", Offset: -1, Reason: fmt.Sprintf("%d heads cannot share %d key and value heads", d.Heads, d.KVHeads)}
	case 2*len(d.RopeFrequencies) > d.HeadDim:
		return &fault.Malformed{Format: format, Where: "rope", Offset: -1, Reason: fmt.Sprintf("%d dimensions rotated of %d", 2*len(d.RopeFrequencies), d.HeadDim)}
	case !(d.NormEpsilon >= 0 && d.NormEpsilon < 1):
		return &fault.Malformed{Format: format, Where: "norm epsilon", Offset: -1, Reason: fmt.Sprintf("%g is not from 0 to 1", d.NormEpsilon)}
	}
	return nil
}

func (d *Description) fromGGUF(g *gguf.File, name string, fam family) error {
	key := func(s string) string { return name + "." + s }
	for _, k := range []string{"attention.head_count", "attention.head_count_kv", "feed_forward_length"} {
		if v, _ := g.Value(key(k)); v.Kind == gguf.Array {
			return fault.NewUnsupported("architecture", "%s differs between layers", k)
		}
	}
	if n := g.Int(key("expert_count"), 0); n > 0 {
		return fault.NewUnsupported("architecture", "%s with %d experts", name, n)
	}
	integer := func(k string, def int64) int { return int(min(max(g.Int(key(k), def), -1), math.MaxInt32)) }
	d.Layers = integer("block_count", 0)
	d.Hidden = integer("embedding_length", 0)
	d.FeedForward = integer("feed_forward_length", 0)
	d.Heads = integer("attention.head_count", 0)
	d.KVHeads = integer("attention.head_count_kv", int64(d.Heads))
	d.Context = integer("context_length", 0)
	d.Window = max(0, integer("attention.sliding_window", 0))
	d.NormEpsilon = float32(g.Float(key("attention.layer_norm_rms_epsilon"), 1e-5))
	if d.Heads > 0 {
		d.HeadDim = integer("attention.key_length", int64(d.Hidden/d.Heads))
	}
	if v := integer("attention.value_length", int64(d.HeadDim)); v != d.HeadDim {
		return fault.NewUnsupported("architecture", "values of %d elements beside keys of %d", v, d.HeadDim)
	}
	d.setScale(g.Float(key("attention.scale"), 0))
	d.RopeAdjacent = fam.ropeAdjacent
	d.RopeFrequencies = kernel.RopeFrequencies(g.Float(key("rope.freq_base"), 10000), min(integer("rope.dimension_count", int64(d.HeadDim)), 1<<14))
	kind := g.Text(key("rope.scaling.type"), "none")
	factor := g.Float(key("rope.scaling.factor"), g.Float(key("rope.scale_linear"), 0))
	switch {
	case kind == "none" || factor == 0 || factor == 1:
	case kind == "linear" || kind == "":
		scaleLinear(d.RopeFrequencies, factor)
	default:
		return fault.NewUnsupported("architecture", "rope scaling %q", kind)
	}
	return nil
}

func (d *Description) setScale(scale float64) {
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(d.HeadDim))
	}
	d.AttentionScale = float32(scale)
}

func (d *Description) fromConfig(c config, fam family) error {
	if q := c.object("quantization_config"); q != nil {
		return fault.NewUnsupported("quantization", "%q of safetensors", q.text("quant_method", "unnamed method"))
	}
	if act := c.text("hidden_act", "silu"); act != "silu" && act != "swish" {
		return fault.NewUnsupported("architecture", "activation %q", act)
	}
	if n := c.integer("num_local_experts", 0); n > 0 {
		return fault.NewUnsupported("architecture", "%d experts", n)
	}
	d.Layers = c.integer("num_hidden_layers", 0)
	d.Hidden = c.integer("hidden_size", 0)
	d.FeedForward = c.integer("intermediate_size", 0)
	d.Heads = c.integer("num_attention_heads", 0)
	d.KVHeads = c.integer("num_key_value_heads", d.Heads)
	d.Context = c.integer("max_position_embeddings", 2048)
	d.NormEpsilon = float32(c.float("rms_norm_eps", 1e-6))
	d.TiedEmbeddings = c.boolean("tie_word_embeddings", false)
	if d.Heads > 0 {
		d.HeadDim = c.integer("head_dim", d.Hidden/d.Heads)
	}
	d.setScale(0)
	if c.boolean("use_sliding_window", false) {
		return fault.NewUnsupported("architecture", "a sliding window in some layers")
	}
	if fam.window {
		d.Window = max(0, c.integer("sliding_window", 0))
	}
	rope := c.object("rope_parameters")
	if rope == nil {
		rope = c.object("rope_scaling")
	}
	rotated := float64(d.HeadDim) * c.float("partial_rotary_factor", 1)
	if !(rotated >= 0 && rotated <= 1<<14) {
		rotated = 0
	}
	d.RopeFrequencies = kernel.RopeFrequencies(rope.float("rope_theta", c.float("rope_theta", 10000)), int(rotated))
	return d.scaleRope(rope)
}

// scaleRope applies config.json's rope_scaling.
func (d *Description) scaleRope(rope config) error {
	switch kind := rope.text("rope_type", rope.text("type", "default")); kind {
	case "default":
	case "linear":
		scaleLinear(d.RopeFrequencies, rope.float("factor", 1))
	case "llama3":
		// Long wavelengths are stretched by factor, short ones kept, those between blended.
		factor, low, high := rope.float("factor", 8), rope.float("low_freq_factor", 1), rope.float("high_freq_factor", 4)
		original := rope.float("original_max_position_embeddings", 8192)
		if !(factor > 0 && low > 0 && high > low && original > 0) {
			return &fault.Malformed{Format: configName, Where: "rope_scaling", Offset: -1, Reason: "factors out of range"}
		}
		for i, f := range d.RopeFrequencies {
			turns := original * f / (2 * math.Pi)
			switch {
			case turns < low:
				d.RopeFrequencies[i] = f / factor
			case turns <= high:
				blend := (turns - low) / (high - low)
				d.RopeFrequencies[i] = (1-blend)*f/factor + blend*f
			}
		}
	default:
		return fault.NewUnsupported("architecture", "rope scaling %q", kind)
	}
	return nil
}

func scaleLinear(frequencies []float64, factor float64) {
	for i := range frequencies {
		frequencies[i] /= factor
	}
}
