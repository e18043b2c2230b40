package lineage

import (
	"fmt"
	"slices"
	"strings"
)

// Relation is what a model says that it is of its base, in the words of cards (base_model_relation).
type Relation string

// The relations. The empty one says nothing.
const (
	Quantized Relation = "quantized"
	Finetune  Relation = "finetune"
	Adapter   Relation = "adapter"
	Merge     Relation = "merge"
)

// ParseRelation returns the relation of that name, the empty one for a name that is not known.
func ParseRelation(s string) Relation {
	r := Relation(strings.ToLower(strings.TrimSpace(s)))
	if slices.Contains([]Relation{Quantized, Finetune, Adapter, Merge}, r) {
		return r
	}
	return ""
}

// Verdict says whether what was declared is so.
type Verdict string

// The verdicts.
const (
	Confirmed    Verdict = "confirmed"    // the weights show it
	Consistent   Verdict = "consistent"   // nothing speaks against it
	Contradicted Verdict = "contradicted" // the weights show that it is not so
	Unknown      Verdict = "unknown"      // it cannot be told
)

// Judgement is a verdict with its reason. Odd says that a person should look at it although it is not contradicted.
type Judgement struct {
	Verdict Verdict
	Reason  string // always there unless confirmed
	Odd     bool
}

// The cosines, medians over the matrices, that tell verdicts apart. Fine-tunes keep it above 0.9 and mostly above 0.99; long
// further training goes down to about a half; models that were trained apart have that of chance, 0.01 and less.
const (
	near   = 0.9
	some   = 0.5
	chance = 0.1
)

// damaged is how many times the explained error a single matrix of a quantization must have, while most others are explained, to
// count as damaged.
const damaged = 3

// Judge says whether the compared weights bear out the declared relation with the base of that name.
func Judge(c *Comparison, declared Relation, base string) Judgement {
	s := c.Summary()
	switch {
	case len(c.Misfits) > 0:
		return Judgement{Verdict: Contradicted, Reason: fmt.Sprintf("the weights do not fit those of %s: %s%s", base, c.Misfits[0], more(len(c.Misfits)-1))}
	case s.Matrices == 0:
		return Judgement{Verdict: Unknown, Odd: true, Reason: fmt.Sprintf("no matrix of the model has a counterpart in %s", base)}
	case s.Cosine < chance && 10*s.Related < s.Matrices:
		return Judgement{Verdict: Contradicted, Reason: fmt.Sprintf(
			"the weights have nothing in common with those of %s: the median cosine of %d matrices is %.2g", base, s.Matrices, s.Cosine)}
	case s.Cosine < some:
		return Judgement{Verdict: Unknown, Odd: true, Reason: fmt.Sprintf(
			"the weights are too far from those of %s to tell: the median cosine of %d matrices is %.2g", base, s.Matrices, s.Cosine)}
	}
	plain := s.Explained == len(c.Pairs)
	if declared == Quantized && !plain {
		return judgeQuantized(c, s, base)
	}
	switch n, m := layersOf(c.Added), layersOf(c.Missing); {
	case n+m > 0:
		return Judgement{Verdict: Consistent, Odd: true, Reason: fmt.Sprintf(
			"%d layers of the model have no counterpart in %s, and %d of its layers none in the model; those that both have are close", n, base, m)}
	case len(c.Missing) > 0:
		return Judgement{Verdict: Consistent, Odd: true, Reason: fmt.Sprintf("%s of %s is missing%s", c.Missing[0], base, more(len(c.Missing)-1))}
	case declared == Finetune && plain:
		return Judgement{Verdict: Consistent, Odd: true, Reason: fmt.Sprintf("it is declared a fine-tune, but the weights are those of %s", base)}
	case s.Related < s.Matrices && !plain:
		return Judgement{Verdict: Consistent, Odd: true, Reason: fmt.Sprintf(
			"%d of %d matrices have nothing in common with those of %s, first %s", s.Matrices-s.Related, s.Matrices, base, c.first(func(p Pair) bool { return p.Cosine < related }))}
	case plain || s.Cosine >= near:
		return Judgement{Verdict: Confirmed}
	}
	return Judgement{Verdict: Consistent, Reason: fmt.Sprintf("the median cosine with the matrices of %s is %.2g", base, s.Cosine)}
}

// judgeQuantized says what a quantization is of which not all weights are explained by their types.
func judgeQuantized(c *Comparison, s Summary, base string) Judgement {
	beyond := len(c.Pairs) - s.Explained
	first := c.first(func(p Pair) bool { return p.Error > p.limit() })
	worst := c.Pairs[slices.IndexFunc(c.Pairs, func(p Pair) bool { return p.Role == first })]
	for _, p := range c.Pairs {
		if p.Type != "" && p.Error/p.limit() > worst.Error/worst.limit() {
			worst = p
		}
	}
	words := fmt.Sprintf("%d of %d weights differ more from %s than their types explain, most %s by %.2g where %.2g is the limit",
		beyond, len(c.Pairs), base, worst.Role, worst.Error, worst.limit())
	if 4*s.Explained >= 3*len(c.Pairs) && worst.Type != "" && worst.Error > damaged*worst.limit() {
		return Judgement{Verdict: Contradicted, Reason: "it is no plain quantization: " + words}
	}
	return Judgement{Verdict: Consistent, Odd: true, Reason: words}
}

func (c *Comparison) first(is func(Pair) bool) string {
	for _, p := range c.Pairs {
		if p.Type != "" && is(p) {
			return p.Role
		}
	}
	for _, p := range c.Pairs {
		if is(p) {
			return p.Role
		}
	}
	return ""
}

// layersOf counts the layers among roles, each by its first.
func layersOf(roles []string) int {
	seen := map[string]bool{}
	for _, r := range roles {
		// A layer that the other model has as well lacks single roles only: it has no norm of its own here.
		if parts := strings.SplitN(r, ".", 3); len(parts) == 3 && parts[0] == "layers" && (parts[2] == "q" || parts[2] == "o" || parts[2] == "down") {
			seen[parts[1]] = true
		}
	}
	return len(seen)
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("; and %d more", n)
}

// Mixed is the mixture that explains one matrix of a merge.
type Mixed struct {
	Tensor
	Mixture
}

// limit is the error that the type explains.
func (m Mixed) limit() float64 { return BandOf(m.Type).Limit }

// Share is the part that a base has in a merge: the median of its coefficients over the matrices.
type Share struct {
	Base   string
	Median float64
}

// JudgeMerge says whether the matrices are mixtures of the bases, of which names are given in their order. What is not
// explained may have been trimmed, as some ways to merge do.
func JudgeMerge(matrices []Mixed, names []string) (Judgement, []Share, float64) {
	var errs []float64
	shares := make([]Share, len(names))
	linear := 0
	for _, m := range matrices {
		errs = append(errs, m.Error)
		if m.Error <= m.limit()+0.02 {
			linear++
		}
	}
	for i, n := range names {
		var c []float64
		for _, m := range matrices {
			c = append(c, m.Coefficients[i])
		}
		shares[i] = Share{Base: n, Median: median(c)}
	}
	left := median(errs)
	if len(matrices) == 0 {
		return Judgement{Verdict: Unknown, Odd: true, Reason: "no matrix has a counterpart in all of the bases"}, shares, left
	}
	// What is left of a unit vector beside one at an angle is the sine of it, so that the cosines above hold for mixtures too.
	switch cosine := 1 - left*left; {
	case cosine < chance*chance:
		return Judgement{Verdict: Contradicted, Reason: fmt.Sprintf("no mixture of %s explains the weights: a median of %.2g of them is left", strings.Join(names, ", "), left)}, shares, left
	case cosine < some*some:
		return Judgement{Verdict: Unknown, Odd: true, Reason: fmt.Sprintf("mixtures of %s leave a median of %.2g of the weights unexplained", strings.Join(names, ", "), left)}, shares, left
	}
	for _, s := range shares {
		if s.Median > -0.01 && s.Median < 0.01 {
			return Judgement{Verdict: Consistent, Odd: true, Reason: fmt.Sprintf("%s has no part in the weights", s.Base)}, shares, left
		}
	}
	if linear == len(matrices) {
		return Judgement{Verdict: Confirmed}, shares, left
	}
	return Judgement{Verdict: Consistent, Reason: fmt.Sprintf("mixtures of %s leave up to %.2g of %d matrices unexplained", strings.Join(names, ", "), slices.Max(errs), len(matrices)-linear)}, shares, left
}
