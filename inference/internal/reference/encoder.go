package reference

import (
	"math"
	"strings"
)

const (
	bertNames = "token_embd=&embeddings.word_embeddings position_embd=&embeddings.position_embeddings " +
		"token_types=&embeddings.token_type_embeddings token_embd_norm=&embeddings.LayerNorm attn_q=@attention.self.query " +
		"attn_k=@attention.self.key attn_v=@attention.self.value attn_output=@attention.output.dense " +
		"attn_output_norm=@attention.output.LayerNorm ffn_up=@intermediate.dense ffn_down=@output.dense " +
		"layer_output_norm=@output.LayerNorm "
	distilNames = "attn_q=@attention.q_lin attn_k=@attention.k_lin attn_v=@attention.v_lin attn_output=@attention.out_lin " +
		"attn_output_norm=@sa_layer_norm ffn_up=@ffn.lin1 ffn_down=@ffn.lin2 layer_output_norm=@output_layer_norm "
	mpnetNames = "attn_q=@attention.attn.q attn_k=@attention.attn.k attn_v=@attention.attn.v attn_output=@attention.attn.o " +
		"attn_output_norm=@attention.LayerNorm relative_bias=&encoder.relative_attention_bias "
	nomicNames = "token_embd_norm=&emb_ln attn_qkv=@attn.Wqkv attn_output=@attn.out_proj attn_output_norm=@norm1 ffn_gate=@mlp.fc12 " +
		"ffn_up=@mlp.fc11 ffn_down=@mlp.fc2 layer_output_norm=@norm2 "
	modernNames = "token_embd=&embeddings.tok_embeddings token_embd_norm=&embeddings.norm output_norm=&final_norm attn_norm=@attn_norm " +
		"attn_qkv=@attn.Wqkv attn_output=@attn.Wo ffn_norm=@mlp_norm ffn_up=@mlp.Wi ffn_down=@mlp.Wo "
)

// encoders returns the architectures whose attention goes both ways. In their names & stands for what begins them all, which
// models without a head leave out.
func encoders() map[string]architecture {
	encoder := func(prefix, layers, names string, heads map[string]headNames, read func(r *reader) *Model) architecture {
		return architecture{
			heads: heads,
			names: strings.ReplaceAll(names, "&", prefix), prefix: prefix, layers: prefix + layers, layerNorm: true, epsilon: 1e-12,
			activation: GELU, read: read,
		}
	}
	bert := encoder("bert.", "encoder.layer.%d.", bertNames, bertHeads, readBERT)
	roberta := encoder("roberta.", "encoder.layer.%d.", bertNames, robertaHeads, readRoBERTa)
	nomic := encoder("bert.", "encoder.layers.%d.", bertNames+nomicNames, bertHeads, readNomicBERT)
	nomic.activation = SiLU
	modern := encoder("model.", "layers.%d.", modernNames, modernHeads, readModernBERT)
	modern.fusedGate, modern.epsilon = true, 1e-5
	return map[string]architecture{
		"bert": bert, "roberta": roberta, "xlm-roberta": roberta, "camembert": roberta,
		"distilbert": encoder("distilbert.", "transformer.layer.%d.", bertNames+distilNames, distilHeads, readBERT),
		"mpnet":      encoder("mpnet.", "encoder.layer.%d.", bertNames+mpnetNames, robertaHeads, readMPNet),
		"nomic-bert": nomic, "nomic_bert": nomic, "modern-bert": modern, "modernbert": modern,
	}
}

// encoder returns an encoder whose embeddings are sums of those of tokens, kinds and positions, the first of which has a number.
func (r *reader) encoder(first int, layer func(l int) []Step) *Model {
	tokens, norm := r.linear("token_embd").Weight, r.norm("token_embd_norm")
	rows := func(role string) [][]float64 {
		if !r.has(role) {
			return nil
		}
		return r.linear(role).Weight
	}
	positions, kinds := rows("position_embd"), rows("token_types")
	m := &Model{Norm: r.norm("output_norm"), Embed: func(ids, types []int) [][]float64 {
		states := make([][]float64, len(ids))
		for i, id := range ids {
			states[i] = tokens[id]
			if positions != nil {
				states[i] = Add(states[i], positions[first+i])
			}
			if kinds != nil {
				kind := 0
				if types != nil {
					kind = types[i]
				}
				states[i] = Add(states[i], kinds[kind])
			}
		}
		return normed(norm, states)
	}}
	for l := range r.layerCount {
		m.Steps = append(m.Steps, layer(l)...)
	}
	r.head(m)
	return m
}

// postNorm returns a layer that normalises the sum after each half (Vaswani et al. 2017, section 3.1).
func (r *reader) postNorm(l int, attention Attention) []Step {
	attention.Mask = Bidirectional
	return []Step{
		{Branches: []Branch{{Half: attention.Apply}}, Scale: 1, Norm: r.norm("attn_output_norm", l)},
		{Branches: []Branch{{Half: r.feed(l)}}, Scale: 1, Norm: r.norm("layer_output_norm", l)},
	}
}

// unrotated returns attention without a rotary embedding.
func (r *reader) unrotated(l int) Attention {
	a := r.attention(l)
	a.Rope = nil
	return a
}

// readBERT reads BERT (Devlin et al. 2018, section 3) and DistilBERT (Sanh et al. 2019, section 3), whose names differ.
func readBERT(r *reader) *Model {
	return r.encoder(0, func(l int) []Step { return r.postNorm(l, r.unrotated(l)) })
}

// readRoBERTa reads RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2019), whose published code counts positions from the one
// after the padding token's number.
func readRoBERTa(r *reader) *Model {
	return r.encoder(r.integer("", "pad_token_id", 1)+1, func(l int) []Step { return r.postNorm(l, r.unrotated(l)) })
}

// readMPNet reads MPNet (Song et al. 2020, section 3 and its published code), which counts positions as RoBERTa does and adds to
// all layers' scores a bias by distance.
func readMPNet(r *reader) *Model {
	table, _ := r.tensor("relative_bias", ".weight")
	bias := table.Rows(0, 1)
	return r.encoder(r.integer("", "pad_token_id", 1)+1, func(l int) []Step {
		a := r.unrotated(l)
		a.Bias = func(head, query, key int) float64 { return bias[RelativeBucket(key-query, len(bias), 128)][head] }
		return r.postNorm(l, a)
	})
}

// RelativeBucket returns the bucket of a distance (Raffel et al. 2019, T5, section 2.1, and its published code): half of them for
// each direction, half of those for one distance each, and the rest for ranges that grow with the logarithm up to largest.
func RelativeBucket(distance, buckets, largest int) int {
	half := buckets / 2
	side, d := 0, -distance
	if distance > 0 {
		side, d = half, distance
	}
	exact := half / 2
	if d < exact {
		return side + d
	}
	beyond := math.Log(float64(d)/float64(exact)) / math.Log(float64(largest)/float64(exact)) * float64(half-exact)
	// Powers of the ratio are whole numbers, which rounding must not make smaller.
	return side + min(exact+int(beyond+1e-9), half-1)
}

// readNomicBERT reads nomic-bert (Nussbaum et al. 2024, section 4.1): BERT with rotary embeddings and SwiGLU.
func readNomicBERT(r *reader) *Model {
	return r.encoder(0, func(l int) []Step { return r.postNorm(l, r.attention(l)) })
}

// readModernBERT reads ModernBERT (Warner et al. 2024, section 2.1): norms come first, but for the first attention, and two of three
// layers see half a window on each side.
func readModernBERT(r *reader) *Model {
	every, window := r.integer("", "global_attn_every_n_layers", 3), r.integer("attention.sliding_window", "local_attention", 128)
	base := r.number("rope.freq_base", "global_rope_theta", 160000)
	local := r.number("rope.freq_base_swa", "local_rope_theta", 10000)
	return r.encoder(0, func(l int) []Step {
		a := r.attention(l)
		a.Mask, a.Rope = Bidirectional, r.ropeOf(base, true)
		if l%every != 0 {
			a.Mask, a.Rope = Around(window/2), r.ropeOf(local, false)
		}
		return r.sequential(l, a.Apply, r.feed(l))
	})
}
