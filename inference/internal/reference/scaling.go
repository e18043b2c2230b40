package reference

import (
	"math"
	"strings"
)

// rope returns the rotary embedding of layers that see everything.
func (r *reader) rope() *Rope { return r.ropeOf(r.base(), true) }

func (r *reader) base() float64 {
	return r.number("rope.freq_base", "rope_parameters.full_attention.rope_theta|rope_parameters.rope_theta|rope_theta|rotary_emb_base", 10000)
}

// ropeOf returns a rotary embedding of the given base. scaled says that the configuration's scaling applies to it.
func (r *reader) ropeOf(base float64, scaled bool) *Rope {
	dim := r.integer("rope.dimension_count", "qk_rope_head_dim|rotary_dim", 0)
	if dim == 0 {
		part := r.rotated
		if part == 0 {
			part = 1
		}
		dim = int(float64(r.headDim) * r.number("", "rope_parameters.partial_rotary_factor|partial_rotary_factor|rotary_pct", part))
	}
	rope := &Rope{Angles: Angles(base, dim), Adjacent: r.folderAdjacent, Magnitude: 1}
	if r.GGUF {
		// Files with several sections of pairs, which have the same position in text, come from a converter that reorders rows.
		sections := r.list("rope.dimension_sections", "")
		rope.Adjacent = r.ggufAdjacent && (len(sections) < 2 || sections[0] == int64(0) || sections[1] == int64(0))
	}
	switch {
	case scaled && r.GGUF:
		r.scaleGGUF(rope, base, dim)
	case scaled:
		r.scaleFolder(rope, base, dim)
	}
	return rope
}

// scaleGGUF scales as llama.cpp does: by the type that the metadata names, and by tensors of factors.
func (r *reader) scaleGGUF(rope *Rope, base float64, dim int) {
	factor := r.factor()
	original := r.number("rope.scaling.original_context_length", "", float64(r.context))
	rope.Magnitude = r.nonzero("rope.scaling.attn_factor", "", 1)
	switch kind := r.text("rope.scaling.type", "", "linear"); kind {
	case "none":
	case "linear", "longrope":
		rope.Angles = Interpolated(rope.Angles, factor)
	case "yarn":
		fast, slow := r.nonzero("rope.scaling.yarn_beta_fast", "", 32), r.nonzero("rope.scaling.yarn_beta_slow", "", 1)
		rope.Angles = YaRN(base, dim, factor, original, fast, slow, true)
		switch weight := r.number("rope.scaling.yarn_log_multiplier", "", 0); {
		case weight == 0:
			rope.Magnitude *= YaRNMagnitude(factor, 1)
		case r.name != "deepseek2": // whose weight acts on the scores only
			rope.Magnitude *= YaRNMagnitude(factor, 1) / YaRNMagnitude(factor, weight)
		}
	default:
		r.fail("unknown scaling %q", kind)
	}
	long, short, all := r.vector("rope_factors_long"), r.vector("rope_factors_short"), r.vector("rope_freqs")
	switch {
	case all != nil:
		rope.Angles = Divided(rope.Angles, all)
	case long != nil && float64(r.length) > original:
		rope.Angles = Divided(rope.Angles, long)
	case short != nil:
		rope.Angles = Divided(rope.Angles, short)
	}
}

// factor returns what a GGUF file's context is stretched by. Its key has an older name.
func (r *reader) factor() float64 {
	return r.nonzero("rope.scaling.factor", "", r.nonzero("rope.scale_linear", "", 1))
}

// scaling returns a number of the folder's description of the rotary embedding.
func (r *reader) scaling(key string, def float64) float64 {
	return r.number("", "rope_parameters.full_attention."+key+"|rope_parameters."+key+"|rope_scaling."+key, def)
}

// scaleFolder scales as Hugging Face's library does.
func (r *reader) scaleFolder(rope *Rope, base float64, dim int) {
	factor := r.scaling("factor", 1)
	context := float64(r.context)
	original := r.scaling("original_max_position_embeddings", r.number("", "original_max_position_embeddings", context))
	kind := "default"
	for _, key := range []string{"type", "rope_type"} {
		kind = r.text("", "rope_parameters.full_attention."+key+"|rope_parameters."+key+"|rope_scaling."+key, kind)
	}
	switch kind {
	case "default":
	case "linear":
		rope.Angles = Interpolated(rope.Angles, factor)
	case "dynamic":
		rope.Angles = NTK(base, dim, DynamicScale(factor, math.Max(float64(r.length), context), context))
	case "llama3":
		rope.Angles = Llama3(rope.Angles, factor, r.scaling("low_freq_factor", 0), r.scaling("high_freq_factor", 0), original)
	case "yarn":
		rope.Angles = YaRN(base, dim, factor, original, r.scaling("beta_fast", 32), r.scaling("beta_slow", 1),
			r.truth("", "rope_parameters.truncate|rope_scaling.truncate", true))
		magnitude := YaRNMagnitude(factor, 1)
		if m, all := r.scaling("mscale", 0), r.scaling("mscale_all_dim", 0); m != 0 && all != 0 {
			magnitude = YaRNMagnitude(factor, m) / YaRNMagnitude(factor, all)
		}
		rope.Magnitude = r.scaling("attention_factor", magnitude)
	case "longrope", "su":
		factors := "short_factor"
		if float64(r.length) > original {
			factors = "long_factor"
		}
		var f []float64
		for _, v := range r.list("", "rope_parameters."+factors+"|rope_scaling."+factors) {
			f = append(f, v.(float64))
		}
		if len(f) != len(rope.Angles) {
			r.fail("%d factors for %d pairs", len(f), len(rope.Angles))
		}
		rope.Angles = Divided(rope.Angles, f)
		magnitude := LongMagnitude(context/original, original)
		if key := strings.Replace(factors, "factor", "mscale", 1); r.scaling(key, 0) != 0 { // of Phi-3.5-MoE
			magnitude = r.scaling(key, 0)
		}
		rope.Magnitude = r.scaling("attention_factor", magnitude)
	default:
		r.fail("unknown scaling %q", kind)
	}
}
