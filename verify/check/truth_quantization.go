package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/verify"
)

// quantizationCheck compares the declared types of weights with those that they have.
var quantizationCheck = check{
	id: idQuantization, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "The weights are quantized as the name of the file, its keys and the card say.",
	run:    compareQuantization,
}

type quantizationEvidence struct {
	Declared []namedType `json:"declared,omitempty"`
	Stored   []typeShare `json:"stored"`        // most elements first, the first few
	Bits     float64     `json:"bitsPerWeight"` // measured over all tensors; rounded
}

type namedType struct {
	Where string  `json:"where"`
	Type  string  `json:"type"`
	Bits  float64 `json:"bitsPerWeight,omitempty"` // that weights of this type usually take
}

type typeShare struct {
	Type  string  `json:"type"`
	Share float64 `json:"share"` // of all elements; rounded
}

// usualBits are the bits for each weight of the types of GGUF files. Mixtures take a little more; of a type and its mixtures
// the longest name counts.
var usualBits = map[string]float64{
	"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q6_K": 6.56, "Q5_0": 5.5, "Q5_1": 6, "Q5_K": 5.5, "Q4_0": 4.5, "Q4_1": 5, "Q4_K": 4.5,
	"Q3_K": 3.44, "Q2_K": 2.63, "IQ4_NL": 4.5, "IQ4_XS": 4.25, "IQ3_M": 3.44, "IQ3_S": 3.44, "IQ3_XS": 3.3, "IQ3_XXS": 3.06, "IQ2_M": 2.7,
	"IQ2_S": 2.5, "IQ2_XS": 2.31, "IQ2_XXS": 2.06, "IQ1_M": 1.75, "IQ1_S": 1.56, "TQ1_0": 1.69, "TQ2_0": 2.06, "MXFP4": 4.25, "Q8_K": 9.1,
}

// fileQuantization finds such a type in a file's name.
var fileQuantization = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[-._ ])((?:I?Q\d|TQ\d|BF16|F16|F32|FP16|FP32|MXFP4)(?:_(?:\d|K|NL|XXS|XS|S|M|L|XL|MOE))*)(?:[-._ ]|$)`)
})

// bitsOf returns the usual bits of a declared type, 0 for one that is not known.
func bitsOf(declared string) float64 {
	name := strings.ToUpper(declared)
	name = strings.NewReplacer("FP16", "F16", "FP32", "F32").Replace(name)
	best := ""
	for known := range usualBits {
		if (name == known || strings.HasPrefix(name, known+"_")) && len(known) > len(best) {
			best = known
		}
	}
	return usualBits[best]
}

// tooFew is what share of its usual bits a type surely does not fall below: programs keep tensors that do not fit a type in
// one that takes more, never less.
const tooFew = 0.66

func compareQuantization(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	ev := quantizationEvidence{}
	if d.Parameters > 0 {
		ev.Bits = rounded(8 * float64(d.Bytes) / float64(d.Parameters))
	}
	for _, t := range d.DTypes[:min(len(d.DTypes), maxNamed)] {
		ev.Stored = append(ev.Stored, typeShare{t.DType, rounded(float64(t.Elements) / float64(max(d.Parameters, 1)))})
	}
	if d.Format != "gguf" {
		return compareLibrary(c, d, ev), nil
	}
	for _, n := range c.names {
		if match := fileQuantization().FindStringSubmatch(n.text); n.where == "name of the file" && match != nil {
			ev.Declared = append(ev.Declared, namedType{n.where, strings.ToUpper(match[1]), bitsOf(match[1])})
		}
	}
	if name := gguf.FileType(c.head); name != "" {
		ev.Declared = append(ev.Declared, namedType{"general.file_type", name, bitsOf(name)})
	}
	if len(ev.Declared) == 0 {
		return skipped("nothing says how the weights are quantized"), nil
	}
	var odd []string
	for _, t := range ev.Declared {
		switch {
		case t.Bits == 0 || ev.Bits == 0:
		case ev.Bits < tooFew*t.Bits && !hasType(d, t.Type):
			return failed(ev, "%s says %s, which takes about %g bits for each weight, but the tensors take %g and most are %s", t.Where, t.Type, t.Bits, ev.Bits, ev.Stored[0].Type), nil
		case ev.Bits < tooFew*t.Bits:
			odd = append(odd, fmt.Sprintf("%s says %s, but the tensors take only %g bits for each weight", t.Where, t.Type, ev.Bits))
		case ev.Bits > 2*t.Bits && !hasType(d, t.Type):
			odd = append(odd, fmt.Sprintf("%s says %s, but no tensor is of such a type and they take %g bits for each weight", t.Where, t.Type, ev.Bits))
		}
	}
	if len(ev.Declared) == 2 && ev.Declared[0].Bits > 0 && bitsApart(ev.Declared) {
		odd = append(odd, fmt.Sprintf("%s says %s, %s says %s", ev.Declared[0].Where, ev.Declared[0].Type, ev.Declared[1].Where, ev.Declared[1].Type))
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

func bitsApart(t []namedType) bool {
	return t[1].Bits > 0 && max(t[0].Bits, t[1].Bits) > 1.3*min(t[0].Bits, t[1].Bits)
}

// hasType reports whether a tensor of some size is of the declared type, or of the one that a mixture is named after.
func hasType(d *inference.Facts, declared string) bool {
	return slices.ContainsFunc(d.DTypes, func(t inference.DTypeCount) bool {
		return (declared == t.DType || strings.HasPrefix(declared, t.DType+"_")) && t.Elements*4 > d.Parameters
	})
}

// libraries are words for ways to quantize that Hugging Face's configuration names.
var libraries = []string{"gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors", "hqq", "aqlm", "eetq", "quanto"}

// compareLibrary compares what config.json says of a quantization with what the card's tags say.
func compareLibrary(c *claims, d *inference.Facts, ev quantizationEvidence) finding {
	method := strings.ToLower(c.config.object("quantization_config").text("quant_method"))
	if method != "" {
		ev.Declared = append(ev.Declared, namedType{Where: "config.json", Type: storable(method)})
	}
	var odd []string
	tagged := false
	for _, t := range c.card.Tags {
		if t = strings.ToLower(t); !slices.Contains(libraries, t) {
			continue
		}
		tagged = true
		ev.Declared = append(ev.Declared, namedType{Where: "the card's tags", Type: t})
		if method == "" {
			odd = append(odd, "the card's tags say "+t+", the weights are not quantized")
		}
	}
	integers := slices.ContainsFunc(d.DTypes, func(t inference.DTypeCount) bool {
		return strings.HasPrefix(t.DType, "I") || strings.HasPrefix(t.DType, "U")
	})
	switch {
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd))
	case method == "" && !tagged:
		return excused("nothing says that the weights are quantized")
	case slices.Contains([]string{"gptq", "awq", "bitsandbytes"}, method) && !integers:
		return warned(ev, "config.json says %s, but no tensor holds integers", method)
	}
	return passed(ev)
}
