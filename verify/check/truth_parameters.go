package check

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// parametersCheck compares the number of parameters in names with how many there are.
var parametersCheck = check{
	id: idParameters, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "The model has about as many parameters as its names say.",
	run:    compareParameters,
}

type parametersEvidence struct {
	Counted int64         `json:"counted"`
	Named   []namedNumber `json:"named,omitempty"`
}

type namedNumber struct {
	Where string  `json:"where"`
	Text  string  `json:"text"`
	Value float64 `json:"value"`
}

// How far apart named and counted parameters may be: names round, and leave out embeddings or count experts as if they
// shared nothing.
const (
	parametersNear = 1.7
	parametersFar  = 4.0
)

func compareParameters(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	ev := parametersEvidence{Counted: d.Parameters}
	switch {
	case d.Adapter != nil:
		return skipped("the size in an adapter's name is that of the model which it is for"), nil
	case c.config.object("quantization_config") != nil:
		return skipped("the weights are packed, so that their elements are not parameters"), nil
	}
	for _, n := range c.names {
		ev.Named = append(ev.Named, numbersIn(n)...)
	}
	if len(ev.Named) == 0 {
		return skipped("no name says how many parameters there are"), nil
	}
	var odd []string
	for _, where := range c.names {
		best, found := math.Inf(1), namedNumber{}
		for _, n := range ev.Named {
			if n.Where == where.where && distance(n.Value, d) < best {
				best, found = distance(n.Value, d), n
			}
		}
		switch {
		case math.IsInf(best, 1) || best <= parametersNear:
		case best > parametersFar && where.where == "general.size_label":
			// It is the one that programs write, from the count.
			return failed(ev, "%s says %s, but there are %d parameters", found.Where, found.Text, d.Parameters), nil
		default:
			odd = append(odd, fmt.Sprintf("%s says %s, but there are %d parameters", found.Where, found.Text, d.Parameters))
		}
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// numbersIn returns the sizes in a text.
func numbersIn(c claim) (list []namedNumber) {
	for _, match := range number().FindAllStringSubmatch(c.text, 8) {
		experts, size := 1.0, match[1]
		if before, after, ok := strings.Cut(strings.ToLower(size), "x"); ok {
			experts, _ = strconv.ParseFloat(before, 64)
			size = after
		}
		v, err := strconv.ParseFloat(size, 64)
		scale := map[string]float64{"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}[strings.ToLower(match[2])]
		if v *= scale * experts; err == nil && v > 0 {
			list = append(list, namedNumber{Where: c.where, Text: storable(match[1] + match[2]), Value: v})
		}
	}
	return list
}

// distance is how many times larger one number of parameters is than another. An output layer that is the embedding is stored
// once by some programs, and counted twice in some names.
func distance(named float64, d *inference.Facts) float64 {
	counted := float64(d.Parameters)
	if counted <= 0 {
		return math.Inf(1)
	}
	bare := counted - float64(d.EmbeddingRows)*float64(d.HiddenSize)
	best := max(named/counted, counted/named)
	if bare > 0 {
		best = min(best, max(named/bare, bare/named))
	}
	return best
}
