package lineage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Tensor is a weight as a comparison sees it.
type Tensor struct {
	Role       string
	Type       string // of the elements; "" for a vector
	Rows, Cols int
}

// ofVocabulary says whether a weight has a row for each token, the number of which a fine-tune may change.
func (t Tensor) ofVocabulary() bool {
	return t.Role == "embedding" || strings.HasPrefix(t.Role, "output") || strings.HasPrefix(t.Role, "masked") ||
		strings.Contains(t.Role, "embed") || strings.Contains(t.Role, "lm_head") || strings.Contains(t.Role, ".wte.")
}

// ofHead says whether a weight belongs to what stands on top of a model for one task.
func (t Tensor) ofHead() bool {
	return slices.ContainsFunc([]string{"classifier", "tagger", "score", "dense."}, func(s string) bool { return strings.HasPrefix(t.Role, s) })
}

func (t Tensor) shape() string {
	if t.Type == "" {
		return fmt.Sprintf("%d elements", t.Cols)
	}
	return fmt.Sprintf("%d x %d elements", t.Rows, t.Cols)
}

// Pair is a weight of a model beside that of its base, and how far they are apart.
type Pair struct {
	Tensor
	BaseType string
	Distance
}

// limit is the error that the types of both explain.
func (p Pair) limit() float64 {
	if p.Type == "" {
		return explained("BF16", "BF16") // what vectors are rounded to on their way
	}
	return explained(p.Type, p.BaseType)
}

// Comparison collects what is known of a model beside its base.
type Comparison struct {
	Pairs []Pair
	// Resized are weights with a row for each token, of which the two have different numbers; the rows that both have were
	// compared.
	Resized []string
	// Misfits say of weights with the same role how their shapes differ.
	Misfits []string
	// Added and Missing are roles that only the model has, and only the base.
	Added, Missing []string
}

// Match returns the pairs of weights that can be compared, by their places in the two lists, and the shape that both have. It
// notes what has no counterpart or another shape.
func (c *Comparison) Match(model, base []Tensor) (pairs [][2]int, shapes []Tensor) {
	at := make(map[string]int, len(base))
	for i, b := range base {
		at[b.Role] = i
	}
	found := map[string]bool{}
	for i, m := range model {
		j, ok := at[m.Role]
		if !ok {
			if !m.ofHead() && m.Role != "output" { // an embedding that is no longer tied adds the output
				c.Added = append(c.Added, m.Role)
			}
			continue
		}
		found[m.Role] = true
		b := base[j]
		switch {
		case m.Rows == b.Rows && m.Cols == b.Cols:
		case m.ofHead() || m.ofVocabulary() && m.Type == "":
			continue
		case m.ofVocabulary() && m.Cols == b.Cols:
			c.Resized = append(c.Resized, m.Role)
			m.Rows = min(m.Rows, b.Rows)
		default:
			c.Misfits = append(c.Misfits, fmt.Sprintf("%s has %s, in the base %s", m.Role, m.shape(), b.shape()))
			continue
		}
		pairs = append(pairs, [2]int{i, j})
		shapes = append(shapes, m)
	}
	for _, b := range base {
		if !found[b.Role] && !b.ofHead() && b.Role != "output" {
			c.Missing = append(c.Missing, b.Role)
		}
	}
	return pairs, shapes
}

// Summary is a comparison in numbers.
type Summary struct {
	Matrices  int     // compared
	Vectors   int     // compared: norms and biases
	Elements  int64   // compared
	Equal     int     // weights of which every element compared is the same
	Explained int     // weights whose distance is explained by the types of both
	Related   int     // matrices whose cosine with the base's is not that of chance
	Cosine    float64 // the median over matrices
	Lowest    float64 // the lowest cosine of a matrix
	Error     float64 // the median over matrices
	Highest   float64 // the highest error of a matrix
	Farthest  string  // the role of that matrix
}

// related is the cosine from which a matrix surely comes from the other one. That of two independent matrices of n elements is
// below 4/sqrt(n), which is 0.02 for the smallest that occur; a common mean may add to that in embeddings.
const related = 0.3

// Summary counts.
func (c *Comparison) Summary() Summary {
	var s Summary
	var cosines, errs []float64
	s.Lowest = 1
	for _, p := range c.Pairs {
		s.Elements += p.Elements
		if p.Equal {
			s.Equal++
		}
		if p.Error <= p.limit() {
			s.Explained++
		}
		if p.Type == "" {
			s.Vectors++
			continue
		}
		s.Matrices++
		cosines, errs = append(cosines, p.Cosine), append(errs, p.Error)
		s.Lowest = min(s.Lowest, p.Cosine)
		if p.Cosine >= related {
			s.Related++
		}
		if p.Error > s.Highest || s.Farthest == "" {
			s.Highest, s.Farthest = p.Error, p.Role
		}
	}
	s.Cosine, s.Error = median(cosines), median(errs)
	return s
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// TypeSummary is what a comparison says of the matrices of one type.
type TypeSummary struct {
	Type     string
	Matrices int
	Error    float64 // the median
	Highest  float64
	Limit    float64 // what the types of both explain, at most
}

// Types counts by type, in the order of their names.
func (c *Comparison) Types() []TypeSummary {
	errs := map[string][]float64{}
	limits := map[string]float64{}
	for _, p := range c.Pairs {
		if p.Type != "" {
			errs[p.Type] = append(errs[p.Type], p.Error)
			limits[p.Type] = max(limits[p.Type], p.limit())
		}
	}
	var out []TypeSummary
	for t, e := range errs {
		out = append(out, TypeSummary{Type: t, Matrices: len(e), Error: median(e), Highest: slices.Max(e), Limit: limits[t]})
	}
	slices.SortFunc(out, func(a, b TypeSummary) int { return cmp.Compare(a.Type, b.Type) })
	return out
}
