package inference

import (
	"fmt"
	"math"
)

// plainEncoder computes an encoder of toy tensors in float64, written from the papers: Devlin et al. 2019 (BERT), Liu et al. 2019
// (RoBERTa), Song et al. 2020 (MPNet), Nussbaum et al. 2024 (nomic-bert), Warner et al. 2024 (ModernBERT).
type plainEncoder struct {
	tensors map[string]toyTensor
	// before says that norms come before each half and after the last layer, instead of after the sum.
	before bool
	// base is the base of the rotary embedding, 0 for none, and local that of layers which see window/2 positions on each side:
	// all but every third.
	base, local float64
	window      int
	// activation is that of the feed-forward layer, gate says that it has one.
	activation func(float64) float64
	gate       bool
	relative   bool // attention gains by distance
}

func gelu(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) }
func silu(x float64) float64 { return x / (1 + math.Exp(-x)) }
func relu(x float64) float64 { return math.Max(x, 0) }

func (p *plainEncoder) has(name string) bool { _, ok := p.tensors[name]; return ok }

// linear multiplies with a matrix and adds its bias.
func (p *plainEncoder) linear(name string, x []float64) []float64 {
	w, bias := p.tensors[name+".weight"], p.tensors[name+".bias"].values
	y := make([]float64, w.shape[0])
	for r := range y {
		for c, v := range x {
			y[r] += float64(w.values[r*len(x)+c]) * v
		}
		if bias != nil {
			y[r] += float64(bias[r])
		}
	}
	return y
}

// norm subtracts the mean and divides by the standard deviation.
func (p *plainEncoder) norm(name string, x []float64) []float64 {
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	w, bias := p.tensors[name+".weight"].values, p.tensors[name+".bias"].values
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) / math.Sqrt(variance+1e-5) * float64(w[i])
		if bias != nil {
			y[i] += float64(bias[i])
		}
	}
	return y
}

func plus(a, b []float64) []float64 {
	sum := make([]float64, len(a))
	for i := range a {
		sum[i] = a[i] + b[i]
	}
	return sum
}

func (p *plainEncoder) row(name string, i int) []float64 {
	x := make([]float64, genHidden)
	for c := range x {
		x[c] = float64(p.tensors[name].values[i*genHidden+c])
	}
	return x
}

// states returns the final state of each token.
func (p *plainEncoder) states(ids, types []int) [][]float64 {
	x := make([][]float64, len(ids))
	for i, id := range ids {
		x[i] = p.row("token_embd.weight", id)
		if p.has("position_embd.weight") {
			x[i] = plus(x[i], p.row("position_embd.weight", i))
		}
		if p.has("token_types.weight") {
			x[i] = plus(x[i], p.row("token_types.weight", types[i]))
		}
		x[i] = p.norm("token_embd_norm", x[i])
	}
	for l := range genLayers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s", l, s) }
		in := make([][]float64, len(x))
		for i := range x {
			if in[i] = x[i]; p.before && p.has(name("attn_norm.weight")) {
				in[i] = p.norm(name("attn_norm"), x[i])
			}
		}
		for i, y := range p.attention(name, l, in) {
			x[i] = plus(x[i], p.linear(name("attn_output"), y))
			if p.before {
				x[i] = plus(x[i], p.feed(name, p.norm(name("ffn_norm"), x[i])))
			} else {
				x[i] = p.norm(name("attn_output_norm"), x[i])
				x[i] = p.norm(name("layer_output_norm"), plus(x[i], p.feed(name, x[i])))
			}
		}
	}
	for i := range x {
		if p.before {
			x[i] = p.norm("output_norm", x[i])
		}
	}
	return x
}

func (p *plainEncoder) feed(name func(string) string, x []float64) []float64 {
	up := p.linear(name("ffn_up"), x)
	gate := up
	switch {
	case p.gate && p.has(name("ffn_gate.weight")):
		gate = p.linear(name("ffn_gate"), x)
	case p.gate: // both in one, the gate first
		gate, up = up[:len(up)/2], up[len(up)/2:]
	}
	y := make([]float64, len(gate))
	for i := range y {
		if y[i] = p.activation(gate[i]); p.gate {
			y[i] *= up[i]
		}
	}
	return p.linear(name("ffn_down"), y)
}

// attention returns what each token's heads see, before the output matrix.
func (p *plainEncoder) attention(name func(string) string, l int, x [][]float64) [][]float64 {
	local := p.window > 0 && l%3 != 0
	base := p.base
	if local {
		base = p.local
	}
	q, k, v := make([][]float64, len(x)), make([][]float64, len(x)), make([][]float64, len(x))
	for i := range x {
		if p.has(name("attn_qkv.weight")) {
			all := p.linear(name("attn_qkv"), x[i])
			q[i], k[i], v[i] = all[:genQ], all[genQ:2*genQ], all[2*genQ:]
		} else {
			q[i], k[i], v[i] = p.linear(name("attn_q"), x[i]), p.linear(name("attn_k"), x[i]), p.linear(name("attn_v"), x[i])
		}
		if base > 0 {
			rotate(q[i], base, i)
			rotate(k[i], base, i)
		}
	}
	out := make([][]float64, len(x))
	for i := range x {
		out[i] = make([]float64, genQ)
		for h := range genHeads {
			weights, total := make([]float64, len(x)), 0.0
			for j := range x {
				if local && (j-i > p.window/2 || i-j > p.window/2) {
					continue
				}
				score := 0.0
				for c := range genDim {
					score += q[i][h*genDim+c] * k[j][h*genDim+c]
				}
				score /= math.Sqrt(genDim)
				if p.relative {
					score += float64(p.tensors["relative_bias.weight"].values[plainBucket(j-i)*genHeads+h])
				}
				weights[j] = math.Exp(score)
				total += weights[j]
			}
			for j := range x {
				for c := range genDim {
					out[i][h*genDim+c] += weights[j] / total * v[j][h*genDim+c]
				}
			}
		}
	}
	return out
}

// rotate turns the pairs of each head's halves by the position times base^(-2i/dim).
func rotate(x []float64, base float64, position int) {
	for h := 0; h < len(x); h += genDim {
		for i := range genDim / 2 {
			sin, cos := math.Sincos(float64(position) * math.Pow(base, -2*float64(i)/genDim))
			a, b := x[h+i], x[h+i+genDim/2]
			x[h+i], x[h+i+genDim/2] = a*cos-b*sin, a*sin+b*cos
		}
	}
}

// plainBucket lists the bounds of T5's 32 buckets for both directions: distances 0 to 7 by themselves, then ranges that begin at
// 8, 12, 16, 23, 32, 46, 64 and 91.
func plainBucket(distance int) int {
	bucket := 0
	if distance > 0 {
		bucket = 16
	} else {
		distance = -distance
	}
	if distance < 8 {
		return bucket + distance
	}
	bucket += 7
	for _, from := range []int{8, 12, 16, 23, 32, 46, 64, 91} {
		if distance >= from {
			bucket++
		}
	}
	return bucket
}

// head is a matrix, an activation, a norm where there is one, and a last matrix.
func (p *plainEncoder) head(dense string, activation func(float64) float64, norm, out string, x []float64) []float64 {
	if dense != "" {
		x = p.linear(dense, x)
		for i := range x {
			x[i] = activation(x[i])
		}
	}
	if norm != "" {
		x = p.norm(norm, x)
	}
	return p.linear(out, x)
}
