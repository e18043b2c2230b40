package inference

import (
	"math"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

// newRope returns the unscaled rotary embedding of dim dimensions.
func newRope(adjacent bool, base float64, dim int) RopeDescription {
	return RopeDescription{
		Adjacent: adjacent, Scale: 1, Frequencies: kernel.RopeFrequencies(base, min(max(dim, 0), maxHeadDim)), base: base,
	}
}

// linear stretches all wavelengths by factor.
func (r *RopeDescription) linear(factor float64) {
	for i := range r.Frequencies {
		r.Frequencies[i] /= factor
	}
}

// divide returns the frequencies divided by factors of which there are as many.
func (r *RopeDescription) divide(factors []float64) []float64 {
	f := make([]float64, len(r.Frequencies))
	for i := range f {
		f[i] = r.Frequencies[i] / factors[i]
	}
	return f
}

// yarn is YaRN's scaling (Peng et al. 2023, section 3.2): wavelengths that turn more than fast times within the original
// context are kept, those that turn less than slow times are stretched by factor, those between are blended.
type yarn struct {
	base, factor, original, fast, slow float64
	// whole rounds the limits of the blend outwards to whole dimensions.
	whole bool
}

func (r *RopeDescription) yarn(y yarn) error {
	if !(y.factor > 0 && y.original > 0 && y.fast > 0 && y.slow > 0 && y.base > 1) {
		return &fault.Malformed{Format: "rope scaling", Offset: -1, Reason: "factors out of range"}
	}
	dim := 2 * len(r.Frequencies)
	turning := func(turns float64) float64 {
		return float64(dim) * math.Log(y.original/(turns*2*math.Pi)) / (2 * math.Log(y.base))
	}
	low, high := turning(y.fast), turning(y.slow)
	if y.whole {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(dim-1))
	for i, f := range r.Frequencies {
		stretched := min(max((float64(i)-low)/max(high-low, 0.001), 0), 1)
		r.Frequencies[i] = f/y.factor*stretched + f*(1-stretched)
	}
	return nil
}

// yarnScale is YaRN's correction of the attention's temperature: 0.1*weight*ln(factor) + 1.
func yarnScale(factor, weight float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*weight*math.Log(factor) + 1
}

// llama3 stretches long wavelengths by factor, keeps short ones and blends those between.
func (r *RopeDescription) llama3(factor, low, high, original float64) error {
	if !(factor > 0 && low > 0 && high >= low && original > 0) {
		return &fault.Malformed{Format: configName, Where: "rope_scaling", Offset: -1, Reason: "factors out of range"}
	}
	for i, f := range r.Frequencies {
		turns := original * f / (2 * math.Pi)
		switch {
		case turns < low:
			r.Frequencies[i] = f / factor
		case turns < high:
			blend := (turns - low) / (high - low)
			r.Frequencies[i] = (1-blend)*f/factor + blend*f
		}
	}
	return nil
}

// fromFolder applies config.json's rope_scaling to an embedding of the given base. context is the model's, original the
// top-level original_max_position_embeddings if there is one.
func (r *RopeDescription) fromFolder(rope config, base float64, context, original int) error {
	kind := rope.text("rope_type", rope.text("type", "default"))
	original = rope.integer("original_max_position_embeddings", original)
	factor := rope.float("factor", 1)
	switch kind {
	case "default":
		return nil
	case "linear":
		if !(factor > 0) {
			return &fault.Malformed{Format: configName, Where: "rope_scaling", Offset: -1, Reason: "factor out of range"}
		}
		r.linear(factor)
		return nil
	case "dynamic":
		if !(factor >= 1) {
			return &fault.Malformed{Format: configName, Where: "rope_scaling", Offset: -1, Reason: "factor out of range"}
		}
		r.Dynamic, r.base, r.Original = factor, base, context
		return nil
	case "llama3":
		return r.llama3(rope.float("factor", 8), rope.float("low_freq_factor", 1), rope.float("high_freq_factor", 4),
			rope.float("original_max_position_embeddings", 8192))
	case "yarn":
		if original == 0 {
			original = context
		}
		r.Scale = float32(rope.float("attention_factor", 0))
		if r.Scale == 0 {
			r.Scale = float32(yarnScale(factor, 1))
			if m, all := rope.float("mscale", 0), rope.float("mscale_all_dim", 0); m != 0 && all != 0 {
				r.Scale = float32(yarnScale(factor, m) / yarnScale(factor, all))
			}
		}
		return r.yarn(yarn{
			base: base, factor: factor, original: float64(original),
			fast: rope.float("beta_fast", 32), slow: rope.float("beta_slow", 1), whole: rope.boolean("truncate", true),
		})
	case "longrope", "su":
		return r.longrope(rope, context, original)
	}
	return fault.NewUnsupported("architecture", "rope scaling %q", kind)
}

func (r *RopeDescription) longrope(rope config, context, original int) error {
	short, long := rope.floats("short_factor"), rope.floats("long_factor")
	if len(short) != len(r.Frequencies) || len(long) != len(r.Frequencies) || original < 2 {
		return &fault.Malformed{Format: configName, Where: "rope_scaling", Offset: -1, Reason: "the factors are not one for each frequency"}
	}
	factor := rope.float("factor", float64(context)/float64(original))
	if scale := rope.float("short_mscale", 0); scale != 0 {
		if scale != rope.float("long_mscale", scale) {
			return fault.NewUnsupported("architecture", "a rotary embedding scaled by the length of the sequence")
		}
		rope = config{"attention_factor": scale}
	}
	r.Scale = 1
	if factor > 1 {
		r.Scale = float32(math.Sqrt(1 + math.Log(factor)/math.Log(float64(original))))
	}
	r.Scale = float32(rope.float("attention_factor", float64(r.Scale)))
	r.Long, r.Original = r.divide(long), original
	r.Frequencies = r.divide(short)
	return nil
}

// kernel returns the embedding for sessions of context positions.
func (r *RopeDescription) kernel(context int) kernel.Rope {
	k := kernel.Rope{Adjacent: r.Adjacent, Frequencies: r.Frequencies, Scale: r.Scale}
	dim := 2 * float64(len(r.Frequencies))
	switch {
	case context <= r.Original:
	case r.Long != nil:
		k.Frequencies = r.Long
	case r.Dynamic > 0 && dim > 2:
		grown := r.Dynamic*float64(context)/float64(r.Original) - (r.Dynamic - 1)
		k.Frequencies = kernel.RopeFrequencies(r.base*math.Pow(grown, dim/(dim-2)), int(dim))
	}
	return k
}
