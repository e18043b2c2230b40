package inference

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

// Description is what a model's graph is built from: sizes and switches, read from config.json or from a GGUF file's keys.
type Description struct {
	// Architecture is the normalised name ("llama", "mistral", "qwen2").
	Architecture string
	Layers       int
	// Hidden is the width of the residual stream and FeedForward that of the feed-forward layer.
	Hidden, FeedForward int
	// FeedForwards is the width of each layer's where they differ, FeedForward then the largest.
	FeedForwards []int
	// Heads query heads share KVHeads key and value heads; queries and keys have HeadDim elements, values ValueDim.
	Heads, KVHeads, HeadDim, ValueDim int
	// LayerHeads and LayerKVHeads are the numbers of each layer where those differ, Heads and KVHeads then the largest.
	LayerHeads, LayerKVHeads []int
	// Context is the longest sequence that the model was made for.
	Context     int
	NormEpsilon float32
	// Bidirectional says that a position sees those after it too, as in encoders.
	Bidirectional bool
	// PositionOffset is the row of the first position in the matrix of learned positions.
	PositionOffset int
	// LayerNorm says that norms subtract the mean.
	LayerNorm bool
	// Activation is that of the feed-forward layer, which has a gate where Gated says so.
	Activation kernel.Activation
	Gated      bool
	// Parallel says that attention and feed-forward layer of a block read the same state.
	Parallel bool
	// AttentionScale multiplies the attention scores, which AttentionCap then bounds when it is not 0.
	AttentionScale, AttentionCap float32
	// Window is how many positions a query sees, itself included, or where it looks both ways those up to half of it away; 0
	// means all. Windowed says in which layers; nil means in all.
	Window   int
	Windowed []bool
	// Chunked says that a query sees, of all positions up to its own, those of its chunk of Window positions.
	Chunked bool
	// AlibiBias is the slope exponent of position by ALiBi; 0 means none.
	AlibiBias float64
	// ClampQKV bounds queries, keys and values when it is not 0.
	ClampQKV float32
	// Rope is the rotary embedding. LocalRope is that of windowed layers when it differs, and Unrotated tells the layers that
	// have none; nil means that all are rotated.
	Rope      RopeDescription
	LocalRope *RopeDescription
	Unrotated []bool
	// RotatedNorm says that queries and keys of rotated layers are divided by their root mean square after the rotation.
	RotatedNorm bool
	// Temperature sharpens attention at distant positions.
	Temperature TemperatureDescription
	// EmbeddingScale, ResidualScale and LogitScale multiply the embeddings, what each half of a block adds, and the logits,
	// which LogitCap then bounds when it is not 0.
	EmbeddingScale, ResidualScale, LogitScale, LogitCap float32
	// Experts is nil for models without experts.
	Experts *ExpertDescription
	// Latent is nil for models that do not compress keys and values.
	Latent *LatentDescription
	// Predicting is how many layers follow that predict further tokens, which have no part in the next one.
	Predicting int
	// NormalisedOutput says that the rows of the output layer are divided by their Euclidean norms.
	NormalisedOutput bool
	// TiedEmbeddings says that the output layer is the embedding matrix, whether or not the files hold another.
	TiedEmbeddings bool
	// Pooling makes a text's embedding out of its final states, ClassifierPooling what a classifier looks at. Normalized says
	// that embeddings are scaled to length 1, and MaxTokens how many tokens of a text are embedded where that is fewer than
	// Context.
	Pooling, ClassifierPooling Pooling
	Normalized                 bool
	MaxTokens                  int
	// Labels are those of a classifier, nil when the files name none. MultiLabel says that several can be right.
	Labels     []string
	MultiLabel bool

	family *family
	tagger bool // the classifier looks at each token
	// embeds says that the files are those of a model for embeddings, which cannot be made when unembeddable is not nil.
	embeds       bool
	unembeddable error
	dense        []denseModule
}

// RopeDescription is one rotary embedding.
type RopeDescription struct {
	// Adjacent pairs neighbouring elements; otherwise the halves of the rotated dimensions.
	Adjacent bool
	// Frequencies is the angle per position of each pair, scaling applied; two elements are rotated by each.
	Frequencies []float64
	// Long, when not nil, takes the place of Frequencies for sessions of more than Original positions.
	Long     []float64
	Original int
	// Dynamic, when not 0, grows the base for such sessions so that the longest wavelengths stretch with them and beyond by this
	// factor (NTK).
	Dynamic float64
	// Scale multiplies the rotated elements.
	Scale float32

	base float64
}

// TemperatureDescription multiplies the queries of a position p by 1 + Scale*ln(1 + floor((p+Offset)/Floor)), in layers without
// rotation or Everywhere; a Floor of 0 does not.
type TemperatureDescription struct {
	Floor, Offset int
	Scale         float64
	Everywhere    bool
}

// ExpertDescription says how a token's feed-forward experts are chosen and weighed.
type ExpertDescription struct {
	// Used of Count experts of width FeedForward process a token.
	Count, Used, FeedForward int
	// Shared is the width of the expert that processes all tokens, 0 when there is none.
	Shared int
	// Layers tells the layers that have experts; nil means that all have.
	Layers []bool
	// Sigmoid says that a router's logits become scores by themselves instead of by a softmax over all.
	Sigmoid bool
	// WeighedInput says that what goes into an expert is multiplied by its weight, and not what comes out.
	WeighedInput bool
	// Jitter, when not 0, makes the weight of an expert its share among those whose logits are nearly as large, in a sequence of
	// choices (SparseMixer).
	Jitter float64
	// Normalised says that the weights of the used experts are divided by their sum. Scale then multiplies them.
	Normalised bool
	Scale      float32
	// Groups of experts, when more than one, are ranked first, and experts are chosen from the best UsedGroups. A group's rank
	// is its best score, or the sum of the two best where GroupBySum says so.
	Groups, UsedGroups int
	GroupBySum         bool
}

// LatentDescription is for multi-head latent attention: keys and values are made from a vector of Rank elements, which is what
// the cache holds, and from Rotated elements that all heads share.
type LatentDescription struct {
	// QueryRank is the width that queries pass through, 0 when they do not.
	QueryRank, Rank int
	// A head's query and key have Plain elements without position and then Rotated ones; its value has Value elements.
	Plain, Rotated, Value int
}

// architecture returns the normalised name and the name as the files give it.
func (c *container) architecture() (name, given string) {
	if c.gguf != nil {
		given = c.gguf.Text("general.architecture", "")
		return strings.ToLower(given), given
	}
	given = c.config.firstText("architectures")
	name = strings.ToLower(c.config.text("model_type", ""))
	if name == "" {
		name = strings.ToLower(given)
		for _, suffix := range []string{"forcausallm", "formaskedlm", "forsequenceclassification", "fortokenclassification", "forconditionalgeneration", "lmheadmodel", "model"} {
			name = strings.TrimSuffix(name, suffix)
		}
	}
	// What can be run of a model that also sees or hears is its language model.
	if c.config.multimodal() {
		text := normalised(c.config.language().text("model_type", ""))
		if _, known := families[text]; known {
			return text, given
		}
	}
	return normalised(name), given
}

// normalised returns the name that GGUF files use for an architecture.
func normalised(name string) string {
	if same, ok := architectureNames[name]; ok {
		return same
	}
	return name
}

// describe returns the description of a model that can be run. It returns a *fault.Unsupported for one that cannot and a
// *fault.Malformed for sizes that make no sense.
func (c *container) describe(ctx context.Context) (*Description, error) {
	if err := c.listed.refusal(); err != nil {
		return nil, err
	}
	name, given := c.architecture()
	fam, ok := families[name]
	switch {
	case c.adapter != nil:
		return nil, fault.NewUnsupported("adapter", "it runs with the model that it adapts, %.200q", c.adapter.base)
	case name == "" && c.gguf == nil && c.config == nil:
		return nil, fault.NewUnsupported("model folder", "no config.json says what the tensors mean")
	case !ok:
		return nil, fault.NewUnsupported("architecture", "%q (%s) is not known here", given, name)
	}
	d := &Description{
		Architecture: name, family: &fam, LayerNorm: fam.layerNorm, Activation: fam.activation, Gated: !fam.ungated,
		Parallel: fam.parallel, Bidirectional: fam.encoder || fam.bothWays, EmbeddingScale: 1, ResidualScale: 1, LogitScale: 1,
	}
	if fam.alibi {
		d.AlibiBias = 8
	}
	d.tagger = strings.HasSuffix(given, "ForTokenClassification")
	var err error
	if c.gguf != nil {
		err = d.fromGGUF(c.gguf, name)
	} else {
		err = d.fromConfig(c.config.language().or(fam.defaults))
	}
	if err != nil {
		return nil, err
	}
	if fam.embeddingRoot {
		d.EmbeddingScale = float32(math.Sqrt(float64(d.Hidden)))
	}
	switch fam.rotation {
	case windowedLayers:
		d.unrotated(func(l int) bool { return !d.windowed(l) })
	case windowedIfAny:
		if d.Window > 0 {
			d.unrotated(func(l int) bool { return !d.windowed(l) })
		}
	case threeOfFour:
		d.unrotated(func(l int) bool { return l%4 == 3 })
	}
	if name == "baichuan" {
		if d.Layers == baichuanAlibi {
			d.Rope = RopeDescription{}
		} else {
			d.AlibiBias = 0
		}
	}
	if err := d.check(c); err != nil {
		return nil, err
	}
	return d, d.readHeads(ctx, c)
}

// withExperts tells the layers that have experts, which are of those the rule is true of.
func (d *Description) withExperts(rule func(layer int) bool) {
	layers := d.Experts.Layers
	if layers == nil {
		layers = slices.Repeat([]bool{true}, min(max(d.Layers, 0), maxLayers))
	}
	for l := range layers {
		layers[l] = layers[l] && rule(l)
	}
	d.Experts.Layers = layers
}

// feedForward returns the width of a layer's feed-forward layer.
func (d *Description) feedForward(layer int) int {
	if layer < len(d.FeedForwards) {
		return d.FeedForwards[layer]
	}
	return d.FeedForward
}

// heads returns how many heads a layer has, and how many key and value heads these share.
func (d *Description) heads(layer int) (queries, shared int) {
	if layer < len(d.LayerHeads) {
		return d.LayerHeads[layer], d.LayerKVHeads[layer]
	}
	return d.Heads, d.KVHeads
}

// hasExperts says whether a layer has experts.
func (d *Description) hasExperts(layer int) bool {
	return d.Experts != nil && (layer >= len(d.Experts.Layers) || d.Experts.Layers[layer])
}

// baichuanAlibi is the number of layers of the Baichuan model whose positions are ALiBi's.
const baichuanAlibi = 40

func (d *Description) unrotated(which func(layer int) bool) {
	d.Unrotated = make([]bool, min(max(d.Layers, 0), maxLayers))
	for l := range d.Unrotated {
		d.Unrotated[l] = which(l)
	}
}

// windowed says whether the queries of a layer see a window only.
func (d *Description) windowed(layer int) bool {
	return d.Window > 0 && (layer >= len(d.Windowed) || d.Windowed[layer])
}

// windowPattern leaves the last of each n layers without a window, or the first.
func (d *Description) windowPattern(n int) {
	if n <= 1 {
		return
	}
	d.Windowed = make([]bool, min(max(d.Layers, 0), maxLayers))
	for l := range d.Windowed {
		if d.Windowed[l] = l%n < n-1; d.family.windowedAfter {
			d.Windowed[l] = l%n > 0
		}
	}
}

// The limits of a description.
const (
	maxLayers  = 1 << 12
	maxHidden  = 1 << 18
	maxFeed    = 1 << 20
	maxHeads   = 1 << 12
	maxHeadDim = 1 << 14
	maxExperts = 1 << 12
	// maxAllExperts is how many experts all layers have together, each of which takes memory however small it is.
	maxAllExperts = 1 << 16
)

type bound struct {
	what            string
	value, min, max int
}

func (d *Description) check(c *container) error {
	format := configName
	if c.gguf != nil {
		format = "gguf"
	}
	malformed := func(where, reason string, args ...any) error {
		return &fault.Malformed{Format: format, Where: where, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
	}
	bounds := []bound{
		{"layers", d.Layers, 1, maxLayers},
		{"hidden size", d.Hidden, 1, maxHidden},
		{"feed-forward size", d.FeedForward, 1, maxFeed},
		{"heads", d.Heads, 1, maxHeads},
		{"key and value heads", d.KVHeads, 1, maxHeads},
		{"head size", d.HeadDim, 1, maxHeadDim},
		{"value size", d.ValueDim, 1, maxHeadDim},
		{"context length", d.Context, 1, 1 << 28},
		{"predicting layers", d.Predicting, 0, maxLayers},
		{"temperature floor", d.Temperature.Floor, 0, math.MaxInt32},
		{"first position", d.PositionOffset, 0, 1 << 20},
	}
	if e := d.Experts; e != nil {
		bounds = append(bounds, bound{"experts", e.Count, 1, maxExperts}, bound{"used experts", e.Used, 1, e.Count},
			bound{"experts of all layers", e.Count * d.Layers, 0, maxAllExperts},
			bound{"expert size", e.FeedForward, 1, maxFeed}, bound{"shared expert size", e.Shared, 0, maxFeed},
			bound{"expert groups", e.Groups, 0, e.Count}, bound{"used expert groups", e.UsedGroups, min(e.Groups, 1), max(e.Groups, 0)})
		if e.Groups > 0 {
			bounds = append(bounds, bound{"experts in used groups", e.Used, 1, e.Count / e.Groups * e.UsedGroups})
		}
	}
	if l := d.Latent; l != nil {
		bounds = append(bounds, bound{"query rank", l.QueryRank, 0, maxHidden}, bound{"latent rank", l.Rank, 1, maxHeadDim},
			bound{"plain head size", l.Plain, 1, maxHeadDim}, bound{"rotated head size", l.Rotated, 1, maxHeadDim},
			bound{"value head size", l.Value, 1, maxHeadDim})
	}
	for _, f := range bounds {
		if f.value < f.min || f.value > f.max {
			return malformed(f.what, "%d is not from %d to %d", f.value, f.min, f.max)
		}
	}
	for l := range d.Layers {
		switch queries, shared := d.heads(l); {
		case queries < 1 || shared < 1:
			return malformed("heads", "layer %d has %d heads and %d key and value heads", l, queries, shared)
		case queries%shared != 0:
			return malformed("heads", "%d heads cannot share %d key and value heads", queries, shared)
		}
	}
	for _, n := range d.FeedForwards {
		if n < 1 {
			return malformed("feed-forward size", "%d is not from 1 to %d", n, maxFeed)
		}
	}
	if d.Bidirectional && d.Window > 0 && !d.family.encoder && !d.family.centred {
		return fault.NewUnsupported("architecture", "windows of attention that goes both ways in a decoder")
	}
	switch rotated := 2 * max(len(d.Rope.Frequencies), len(d.Rope.Long)); {
	case d.LayerHeads != nil && (d.Latent != nil || d.AlibiBias > 0 || d.family.encoder):
		// Their parts are made for all layers alike.
		return fault.NewUnsupported("architecture", "the number of heads differs between layers")
	case d.Latent == nil && rotated > d.HeadDim || d.Latent != nil && rotated != d.Latent.Rotated:
		return malformed("rope", "%d dimensions rotated of %d", rotated, d.HeadDim)
	case !(d.NormEpsilon >= 0 && d.NormEpsilon < 1):
		return malformed("norm epsilon", "%g is not from 0 to 1", d.NormEpsilon)
	case d.Experts != nil && d.Experts.Groups > 0 && d.Experts.Count%d.Experts.Groups != 0:
		return malformed("experts", "%d experts do not fill %d groups", d.Experts.Count, d.Experts.Groups)
	}
	return nil
}

func (d *Description) setScale(scale float64) {
	if scale == 0 {
		size := d.HeadDim
		if d.family.wideScale > 0 && d.Layers == d.family.wideScale && d.Heads > 0 {
			size = d.Hidden / d.Heads
		}
		scale = 1 / math.Sqrt(float64(size))
	}
	d.AttentionScale = float32(scale)
}

// setLatent sets what follows from d.Latent: one key and value head that is the compressed vector itself. sharpen multiplies
// the scores.
func (d *Description) setLatent(sharpen float64) {
	l := d.Latent
	d.AttentionScale = float32(sharpen / math.Sqrt(float64(l.Plain+l.Rotated)))
	d.KVHeads, d.HeadDim, d.ValueDim = 1, l.Rank+l.Rotated, l.Rank
}

// or1 returns f, or 1 in place of 0.
func or1(f float64) float32 {
	if f == 0 {
		return 1
	}
	return float32(f)
}
