package reference

import "math"

// model returns a decoder whose layers are the steps that layer returns.
func (r *reader) model(layer func(l int) []Step) *Model {
	embedding := r.linear("token_embd").Weight
	var positions [][]float64
	if r.has("position_embd") {
		positions = r.linear("position_embd").Weight
	}
	norm, scale := r.norm("token_embd_norm"), r.embeddingScale
	m := &Model{
		Embed: func(ids, _ []int) [][]float64 {
			states := make([][]float64, len(ids))
			for i, id := range ids {
				states[i] = Scale(embedding[id], scale)
				if positions != nil {
					states[i] = Add(states[i], positions[i])
				}
			}
			return normed(norm, states)
		},
		Norm: r.norm("output_norm"), LogitScale: r.logitScale, LogitCap: r.logitCap,
	}
	if tied := r.truth("", "tie_word_embeddings", false); r.GGUF && !r.has("output") || !r.GGUF && tied {
		m.Output = Linear{Weight: embedding}
	} else {
		m.Output = r.linear("output")
	}
	for l := range r.layerCount {
		m.Steps = append(m.Steps, layer(l)...)
	}
	return m
}

// sequential returns a layer whose feed-forward half reads what its attention has made, with the norms that there are tensors for.
func (r *reader) sequential(l int, attention, feed Half) []Step {
	return []Step{
		{Branches: []Branch{{r.norm("attn_norm", l), r.norm("post_attention_norm", l), attention}}, Scale: r.residualScale},
		{Branches: []Branch{{r.norm("ffn_norm", l), r.norm("post_ffw_norm", l), feed}}, Scale: r.residualScale},
	}
}

// parallel returns a layer whose halves read the same states by the given norms.
func (r *reader) parallel(attentionNorm Norm, attention Half, feedNorm Norm, feed Half) []Step {
	return []Step{{Branches: []Branch{{Before: attentionNorm, Half: attention}, {Before: feedNorm, Half: feed}}, Scale: r.residualScale}}
}

// attention returns causal attention with everything that tensors and sizes tell; what else an architecture has is set by its
// function.
func (r *reader) attention(l int) Attention {
	a := Attention{
		Heads: r.headCount, KVHeads: r.kvHeads, Output: r.linear("attn_output", l), Rope: r.rope(), Mask: Causal,
		Scale: 1 / math.Sqrt(float64(r.headDim)),
	}
	if r.has("attn_qkv", l) {
		a.Query, a.Key, a.Value = r.split(r.linear("attn_qkv", l))
	} else {
		a.Query, a.Key, a.Value = r.linear("attn_q", l), r.linear("attn_k", l), r.linear("attn_v", l)
	}
	return a
}

// split cuts a matrix of queries, keys and values.
func (r *reader) split(l Linear) (query, key, value Linear) {
	q, kv, d := r.headCount*r.headDim, r.kvHeads*r.headDim, r.headDim
	if r.GGUF || !r.grouped {
		return l.Cut(0, q), l.Cut(q, q+kv), l.Cut(q+kv, q+2*kv)
	}
	share := r.headCount / r.kvHeads
	var orders [3][]int
	for row := range q + 2*kv {
		part := max(row/d%(share+2)-share+1, 0)
		orders[part] = append(orders[part], row)
	}
	return l.Pick(orders[0]), l.Pick(orders[1]), l.Pick(orders[2])
}

// headNorms sets the norms of each head's queries and keys, if there are any: one for all heads, or one each.
func (r *reader) headNorms(a *Attention, l int) {
	of := func(role string) Norm {
		gains := r.vector(role, l)
		if gains == nil {
			return nil
		}
		var norms []Norm
		for ; len(gains) > 0; gains = gains[r.headDim:] {
			norms = append(norms, r.normOf(gains[:r.headDim], nil))
		}
		return EachHead(r.headDim, norms...)
	}
	a.QueryNorm, a.KeyNorm = of("attn_q_norm"), of("attn_k_norm")
}

// feed returns a layer's feed-forward half without experts.
func (r *reader) feed(l int) Half { return Each(r.dense("", l).Apply) }

// dense returns a feed-forward layer whose tensors' roles end in suffix.
func (r *reader) dense(suffix string, numbers ...int) Feed {
	f := Feed{Up: r.linear("ffn_up"+suffix, numbers...), Down: r.linear("ffn_down"+suffix, numbers...)}
	switch {
	case r.fusedGate:
		n := len(f.Up.Weight) / 2
		f.Gate, f.Up = f.Up.Cut(0, n), f.Up.Cut(n, 2*n)
	case r.has("ffn_gate"+suffix, numbers...):
		f.Gate = r.linear("ffn_gate"+suffix, numbers...)
	default:
		f.Ungated, f.Divisors = r.activationOf(), r.vector("ffn.act.scales", numbers...)
		return f
	}
	f.Gated = GLU(r.activationOf())
	return f
}

// router reads what all routers have.
func (r *reader) router(l int) Router {
	return Router{
		Gate: r.linear("ffn_gate_inp", l), Top: r.integer("expert_used_count", "num_experts_per_tok", 0),
		Scale: r.nonzero("expert_weights_scale", "routed_scaling_factor", 1),
	}
}

// mixture returns a layer of experts.
func (r *reader) mixture(l int, router Router) Mixture {
	m := Mixture{Router: router}
	for e := range len(router.Gate.Weight) {
		switch {
		case r.GGUF:
			m.Experts = append(m.Experts, r.stacked(l, e, len(router.Gate.Weight)))
		case r.has("ffn_gate_up_exps", l):
			m.Experts = append(m.Experts, r.joined(l, e, len(router.Gate.Weight)))
		default:
			m.Experts = append(m.Experts, r.dense("_exps", l, e))
		}
	}
	if r.has("ffn_up_shexp", l) {
		fused := r.fusedGate
		r.fusedGate = r.fusedShared && !r.GGUF
		shared := r.dense("_shexp", l)
		r.fusedGate, m.Shared = fused, &shared
	}
	if r.has("ffn_gate_inp_shexp", l) {
		m.SharedGate = r.linear("ffn_gate_inp_shexp", l)
	}
	return m
}

// stacked returns one of count experts whose matrices are parts of the same tensors.
func (r *reader) stacked(l, e, count int) Feed {
	part := func(role string) Linear {
		t, ok := r.tensor(role, ".weight", l)
		if !ok {
			r.fail("no tensor %s in layer %d", role, l)
		}
		w := Linear{Weight: t.Rows(e, count)}
		if b, ok := r.tensor(role, ".bias", l); ok {
			n := len(b.Data) / count
			w.Bias = b.Data[e*n : (e+1)*n]
		}
		return r.factors(w, role, l, e)
	}
	f := Feed{Down: part("ffn_down_exps"), Gated: GLU(r.activationOf())}
	if r.has("ffn_gate_up_exps", l) {
		both := part("ffn_gate_up_exps")
		n := len(both.Weight) / 2
		f.Gate, f.Up = both.Cut(0, n), both.Cut(n, 2*n)
		return f
	}
	f.Gate, f.Up = part("ffn_gate_exps"), part("ffn_up_exps")
	return f
}

// joined returns one of count experts of a folder that has two tensors for all of a layer, one of them of gates and other halves.
func (r *reader) joined(l, e, count int) Feed {
	part := func(role string) Linear {
		t, _ := r.tensor(role, ".weight", l)
		w := Linear{Weight: t.Rows(e, count)}
		if r.expertsTransposed {
			w = w.Transposed()
		}
		if bias := r.vector(role+".bias", l); bias != nil {
			n := len(bias) / count
			w.Bias = bias[e*n : (e+1)*n]
		}
		return w
	}
	both, f := part("ffn_gate_up_exps"), Feed{Down: part("ffn_down_exps"), Gated: GLU(r.activationOf())}
	n := len(both.Weight) / 2
	f.Gate, f.Up = both.Cut(0, n), both.Cut(n, 2*n)
	if r.expertsAlternate {
		var gates, ups []int
		for i := range n {
			gates, ups = append(gates, 2*i), append(ups, 2*i+1)
		}
		f.Gate, f.Up = both.Pick(gates), both.Pick(ups)
	}
	return f
}

// sandwich returns a sequential layer the norm of whose feed-forward half goes by the name of one after attention.
func (r *reader) sandwich(l int, attention, feed Half) []Step {
	return []Step{
		{Branches: []Branch{{Before: r.norm("attn_norm", l), Half: attention}}, Scale: 1},
		{Branches: []Branch{{Before: r.norm("post_attention_norm", l), Half: feed}}, Scale: 1},
	}
}
