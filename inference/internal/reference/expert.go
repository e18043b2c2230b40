package reference

import (
	"math"
	"sort"
)

// Router chooses a token's experts and their weights.
type Router struct {
	Gate Linear
	// Sigmoid turns each logit into a score by itself (DeepSeek-AI 2024, DeepSeek-V3, equation 15); otherwise scores are the
	// softmax over all experts (Fedus et al. 2021, Switch Transformers, equation 1).
	Sigmoid bool
	// Bias is added to the scores to choose experts and not to weigh them (DeepSeek-V3, equation 16); nil: none.
	Bias []float64
	// Top is how many experts a token has (Shazeer et al. 2017, Outrageously Large Neural Networks, equation 5).
	Top int
	// Groups of experts are ranked first and only the TopGroups best take part (DeepSeek-V2, section 2.2.2, device-limited
	// routing). A group's rank is its best score, or with RankTwo the sum of its two best (DeepSeek-V3, section 2.1.2).
	Groups, TopGroups int
	RankTwo           bool
	// Jitter, when not 0, weighs by SparseMixer.
	Jitter float64
	// Normalise divides the weights by their sum (Jiang et al. 2024, Mixtral of Experts, section 2.1, where the softmax is over
	// the chosen logits only, which is the same). Scale multiplies them then.
	Normalise bool
	Scale     float64
}

// Weights returns the weight of every expert for one token, 0 for those that are not used.
func (r Router) Weights(x []float64) []float64 {
	logits := r.Gate.Apply(x)
	if r.Jitter != 0 {
		return SparseMixer(logits, r.Top, r.Jitter)
	}
	scores := Softmax(logits)
	if r.Sigmoid {
		scores = Map(logits, Sigmoid)
	}
	choice := scores
	if r.Bias != nil {
		choice = Add(scores, r.Bias)
	}
	var candidates []int
	if r.Groups > 1 {
		candidates = r.grouped(choice)
	} else {
		for i := range choice {
			candidates = append(candidates, i)
		}
	}
	weights := make([]float64, len(scores))
	sum := 0.0
	for _, i := range best(candidates, choice, r.Top) {
		weights[i] = scores[i]
		sum += scores[i]
	}
	if r.Normalise {
		weights = Scale(weights, 1/sum)
	}
	return Scale(weights, r.Scale)
}

// SparseMixer returns the weights that Phi-3.5-MoE gives its experts (Liu et al. 2023, Sparse Backpropagation for MoE Training;
// 2024, GRIN, section 2, and the published code without training): each choice's weight is its share of the softmax over the
// logits that are at most 2*jitter below it, in parts of the larger size, among those not chosen before.
func SparseMixer(logits []float64, top int, jitter float64) []float64 {
	weights, left := make([]float64, len(logits)), append([]float64(nil), logits...)
	for range top {
		chosen := 0
		for i, v := range left {
			if v > left[chosen] {
				chosen = i
			}
		}
		near := make([]float64, len(left))
		for i, v := range left {
			if near[i] = v; (left[chosen]-logits[i])/math.Max(math.Abs(logits[i]), left[chosen]) > 2*jitter {
				near[i] = math.Inf(-1)
			}
		}
		weights[chosen], left[chosen] = Softmax(near)[chosen], math.Inf(-1)
	}
	return weights
}

// grouped returns the experts of the best groups.
func (r Router) grouped(choice []float64) []int {
	size := len(choice) / r.Groups
	var groups []int
	rank := make([]float64, r.Groups)
	for g := range rank {
		groups = append(groups, g)
		members := append([]float64(nil), choice[g*size:(g+1)*size]...)
		sort.Sort(sort.Reverse(sort.Float64Slice(members)))
		rank[g] = members[0]
		if r.RankTwo {
			rank[g] += members[1]
		}
	}
	var members []int
	for _, g := range best(groups, rank, r.TopGroups) {
		for i := range size {
			members = append(members, g*size+i)
		}
	}
	return members
}

// best returns the n of candidates with the highest values.
func best(candidates []int, value []float64, n int) []int {
	sorted := append([]int(nil), candidates...)
	sort.SliceStable(sorted, func(i, j int) bool { return value[sorted[i]] > value[sorted[j]] })
	return sorted[:n]
}

// Mixture is a layer of experts: what a token's experts make of it, weighed and added (Shazeer et al. 2017, equation 1), and,
// when there is one, the expert that all tokens share (Dai et al. 2024, DeepSeekMoE, section 3.2).
type Mixture struct {
	Router  Router
	Experts []Feed
	Shared  *Feed
	// SharedGate, when it has weights, is the logit whose sigmoid weighs the shared expert (Qwen1.5-MoE's code).
	SharedGate Linear
	// WeighInput multiplies what goes into an expert by its weight, and not what comes out (Meta 2025, Llama 4's published code).
	WeighInput bool
}

// Apply returns the layer's output for one position.
func (m Mixture) Apply(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, w := range m.Router.Weights(x) {
		switch {
		case w == 0:
		case m.WeighInput:
			y = Add(y, m.Experts[i].Apply(Scale(x, w)))
		default:
			y = Add(y, Scale(m.Experts[i].Apply(x), w))
		}
	}
	if m.Shared == nil {
		return y
	}
	w := 1.0
	if m.SharedGate.Weight != nil {
		w = Sigmoid(m.SharedGate.Apply(x)[0])
	}
	return Add(y, Scale(m.Shared.Apply(x), w))
}
