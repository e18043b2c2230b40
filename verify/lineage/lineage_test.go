package lineage_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/verify/lineage"
)

// matrix is a weight in memory.
type matrix struct {
	cols   int
	values []float32
}

func (m matrix) Row(i int, dst []float32) error {
	copy(dst, m.values[i*m.cols:(i+1)*m.cols])
	return nil
}

func (m matrix) rows() int { return len(m.values) / m.cols }

// normal returns a matrix of normal deviates.
func normal(seed uint64, rows, cols int) matrix {
	r := rand.New(rand.NewPCG(seed, 1))
	m := matrix{cols, make([]float32, rows*cols)}
	for i := range m.values {
		m.values[i] = float32(r.NormFloat64() * 0.02)
	}
	return m
}

// with returns the sum of a and b times f.
func (m matrix) with(o matrix, f float32) matrix {
	sum := matrix{m.cols, make([]float32, len(m.values))}
	for i, v := range m.values {
		sum.values[i] = v + f*o.values[i]
	}
	return sum
}

// as returns the values after a way through a type.
func (m matrix) as(t *testing.T, typ tensor.Type) matrix {
	t.Helper()
	size, _ := typ.Size(int64(len(m.values)))
	raw := make([]byte, size)
	if err := tensor.Encode(typ, raw, m.values); err != nil {
		t.Fatal(err)
	}
	out := matrix{m.cols, make([]float32, len(m.values))}
	if err := tensor.Decode(typ, out.values, raw); err != nil {
		t.Fatal(err)
	}
	return out
}

func measure(t *testing.T, a, b matrix) lineage.Distance {
	t.Helper()
	d, err := lineage.Measure(t.Context(), a, b, lineage.Extent{Rows: a.rows(), Cols: a.cols, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBands measures the errors of the types that can be written.
func TestBands(t *testing.T) {
	t.Parallel()
	m := normal(1, 256, 1024)
	for _, typ := range []tensor.Type{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q6K, tensor.Q4K, tensor.Q4_0} {
		got, band := measure(t, m.as(t, typ), m).Error, lineage.BandOf(typ.String())
		if got > band.Limit/2+1e-9 || math.Abs(got-band.Usual) > 0.1*band.Usual {
			t.Errorf("%s: error %.3g, usual %.3g, limit %.3g", typ, got, band.Usual, band.Limit)
		}
	}
}

// TestBandsAreOrdered: no type explains more than one with fewer bits, and none explains what is left between strangers.
func TestBandsAreOrdered(t *testing.T) {
	t.Parallel()
	for i, chain := range [][]string{
		{"F32", "F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "IQ2_XXS", "IQ1_M", "IQ1_S"},
		{"BF16", "F8_E4M3", "F8_E5M2", "MXFP4"},
		{"gptq-int8", "awq-int4", "gptq-int3", "gptq-int2"},
	} {
		for j := range chain[1:] {
			a, b := lineage.BandOf(chain[j]), lineage.BandOf(chain[j+1])
			if a.Limit > b.Limit || a.Usual > b.Usual || b.Limit >= 1 || b.Usual > b.Limit/1.3 {
				t.Errorf("chain %d: %s %+v, %s %+v", i, chain[j], a, chain[j+1], b)
			}
		}
	}
	if b := lineage.BandOf("never-heard-of"); b.Limit > 0.01 {
		t.Errorf("an unknown type explains %g", b.Limit)
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	m, noise := normal(1, 64, 256), normal(2, 64, 256)
	zero := matrix{256, make([]float32, 64*256)}
	tests := map[string]struct {
		a, b          matrix
		error, cosine float64
		equal         bool
	}{
		"itself":          {m, m, 0, 1, true},
		"a stranger":      {noise, m, math.Sqrt2, 0, false},
		"with some noise": {m.with(noise, 0.1), m, 0.1, 0.995, false},
		"of zero":         {zero, m, 1, 0, false},
		"from zero":       {m, zero, math.Inf(1), 0, false},
		"zero from zero":  {zero, zero, 0, 1, true},
		"turned":          {m.with(m, -2), m, 2, -1, false},
	}
	for name, tt := range tests {
		d := measure(t, tt.a, tt.b)
		if d.Error != tt.error && math.Abs(d.Error-tt.error) > 0.02 || math.Abs(d.Cosine-tt.cosine) > 0.02 || d.Equal != tt.equal || d.Elements != 64*256 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	some, err := lineage.Measure(t.Context(), m, m, lineage.Extent{Rows: 64, Cols: 256, Limit: 1000, Threads: 8})
	if err != nil || some.Elements != 3*256 {
		t.Errorf("a part has %d elements, %v", some.Elements, err)
	}
}

func TestCombine(t *testing.T) {
	t.Parallel()
	a, b, c := normal(1, 64, 256), normal(2, 64, 256), normal(3, 64, 256)
	zero := matrix{256, make([]float32, 64*256)}
	tests := map[string]struct {
		of    matrix
		bases []lineage.Weight
		want  []float64
		error float64
	}{
		"a mean":         {a.with(a, -0.5).with(b, 0.5), []lineage.Weight{a, b}, []float64{0.5, 0.5}, 0},
		"uneven":         {a.with(a, -0.8).with(b, 0.9), []lineage.Weight{a, b}, []float64{0.2, 0.9}, 0},
		"one alone":      {a, []lineage.Weight{a, b, c}, []float64{1, 0, 0}, 0},
		"a stranger":     {c, []lineage.Weight{a, b}, []float64{0, 0}, 1},
		"the same twice": {a, []lineage.Weight{a, a}, []float64{0.5, 0.5}, 0},
		"of zero":        {a, []lineage.Weight{zero}, []float64{0}, 1},
		"zero":           {zero, []lineage.Weight{a}, []float64{0}, 0},
		// Fine-tunes of one model point almost the same way.
		"of siblings": {a.with(b, 0.005).with(c, 0.005), []lineage.Weight{a.with(b, 0.01), a.with(c, 0.01)}, []float64{0.5, 0.5}, 0},
	}
	for name, tt := range tests {
		m, err := lineage.Combine(t.Context(), tt.of, tt.bases, lineage.Extent{Rows: 64, Cols: 256, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			if math.Abs(m.Coefficients[i]-want) > 0.02 {
				t.Errorf("%s: coefficients %v, want %v", name, m.Coefficients, tt.want)
			}
		}
		if math.Abs(m.Error-tt.error) > 0.01 {
			t.Errorf("%s: error %g, want %g", name, m.Error, tt.error)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	base := []lineage.Tensor{{Role: "embedding", Type: "F16", Rows: 100, Cols: 8}, {Role: "layers.0.q", Type: "F16", Rows: 8, Cols: 8}, {Role: "norm", Rows: 1, Cols: 8}, {Role: "layers.1.q", Type: "F16", Rows: 8, Cols: 8}}
	model := []lineage.Tensor{{Role: "layers.0.q", Type: "F16", Rows: 4, Cols: 8}, {Role: "norm", Rows: 1, Cols: 8}, {Role: "embedding", Type: "F16", Rows: 120, Cols: 8}, {Role: "output", Type: "F16", Rows: 120, Cols: 8}, {Role: "classifier.out", Type: "F16", Rows: 2, Cols: 8}}
	var c lineage.Comparison
	pairs, shapes := c.Match(model, base)
	if diff := cmp.Diff([][2]int{{1, 2}, {2, 0}}, pairs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(shapes) != 2 || shapes[1].Rows != 100 {
		t.Errorf("shapes %+v", shapes)
	}
	want := lineage.Comparison{
		Resized: []string{"embedding"}, Missing: []string{"layers.1.q"},
		Misfits: []string{"layers.0.q has 4 x 8 elements, in the base 8 x 8 elements"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// pairs are n matrices of a type at the same distance.
func pairs(n int, typ string, d lineage.Distance) []lineage.Pair {
	var list []lineage.Pair
	for range n {
		list = append(list, lineage.Pair{Tensor: lineage.Tensor{Role: "layers.0.q", Type: typ, Rows: 8, Cols: 8}, BaseType: "BF16", Distance: d})
	}
	return list
}

func TestJudge(t *testing.T) {
	t.Parallel()
	q4 := pairs(8, "Q4_K", lineage.Distance{Error: 0.07, Cosine: 0.997})
	tuned := pairs(8, "BF16", lineage.Distance{Error: 0.05, Cosine: 0.999})
	same := pairs(8, "BF16", lineage.Distance{Cosine: 1, Equal: true})
	strange := pairs(8, "BF16", lineage.Distance{Error: 1.4, Cosine: 0.001})
	swapped := pairs(1, "Q4_K", lineage.Distance{Error: 1.4, Cosine: 0.001})
	tests := map[string]struct {
		c        lineage.Comparison
		declared lineage.Relation
		verdict  lineage.Verdict
		odd      bool
	}{
		"a quantization":                  {lineage.Comparison{Pairs: q4}, lineage.Quantized, lineage.Confirmed, false},
		"not said what":                   {lineage.Comparison{Pairs: q4}, "", lineage.Confirmed, false},
		"the same, converted":             {lineage.Comparison{Pairs: same}, lineage.Quantized, lineage.Confirmed, false},
		"a fine-tune":                     {lineage.Comparison{Pairs: tuned}, lineage.Finetune, lineage.Confirmed, false},
		"a fine-tune, not said what":      {lineage.Comparison{Pairs: tuned}, "", lineage.Confirmed, false},
		"a fine-tune with more tokens":    {lineage.Comparison{Pairs: tuned, Resized: []string{"embedding"}}, lineage.Finetune, lineage.Confirmed, false},
		"a far one":                       {lineage.Comparison{Pairs: pairs(8, "BF16", lineage.Distance{Error: 0.7, Cosine: 0.8})}, lineage.Finetune, lineage.Consistent, false},
		"too far to tell":                 {lineage.Comparison{Pairs: pairs(8, "BF16", lineage.Distance{Error: 1, Cosine: 0.4})}, lineage.Finetune, lineage.Unknown, true},
		"a fine-tune of nothing":          {lineage.Comparison{Pairs: same}, lineage.Finetune, lineage.Consistent, true},
		"a quantization of a fine-tune":   {lineage.Comparison{Pairs: pairs(8, "Q4_K", lineage.Distance{Error: 0.3, Cosine: 0.95})}, lineage.Quantized, lineage.Consistent, true},
		"a damaged quantization":          {lineage.Comparison{Pairs: append(swapped, q4...)}, lineage.Quantized, lineage.Contradicted, false},
		"a fine-tune with a new matrix":   {lineage.Comparison{Pairs: append(swapped, tuned...)}, lineage.Finetune, lineage.Consistent, true},
		"a stranger":                      {lineage.Comparison{Pairs: strange}, lineage.Finetune, lineage.Contradicted, false},
		"a stranger as base of a Q4_K":    {lineage.Comparison{Pairs: strange}, lineage.Quantized, lineage.Contradicted, false},
		"half of another model":           {lineage.Comparison{Pairs: append(strange, tuned[:7]...)}, lineage.Finetune, lineage.Unknown, true},
		"other shapes":                    {lineage.Comparison{Misfits: []string{"q has …"}}, lineage.Finetune, lineage.Contradicted, false},
		"fewer layers":                    {lineage.Comparison{Pairs: tuned, Missing: []string{"layers.8.q", "layers.8.k"}}, lineage.Finetune, lineage.Consistent, true},
		"nothing that can be compared":    {lineage.Comparison{Added: []string{"x"}}, lineage.Finetune, lineage.Unknown, true},
		"a base without a matrix's role":  {lineage.Comparison{Pairs: tuned, Missing: []string{"layers.0.q.bias"}}, lineage.Finetune, lineage.Consistent, true},
		"a quantization, in the base too": {lineage.Comparison{Pairs: pairs(8, "Q8_0", lineage.Distance{Error: 0.005, Cosine: 1})}, lineage.Quantized, lineage.Confirmed, false},
	}
	for name, tt := range tests {
		j := lineage.Judge(&tt.c, tt.declared, "org/base")
		if j.Verdict != tt.verdict || j.Odd != tt.odd || (j.Reason == "") != (j.Verdict == lineage.Confirmed) {
			t.Errorf("%s: %+v, want %s", name, j, tt.verdict)
		}
	}
}

func TestJudgeMerge(t *testing.T) {
	t.Parallel()
	mixed := func(error float64, coefficients ...float64) []lineage.Mixed {
		return []lineage.Mixed{{Tensor: lineage.Tensor{Role: "layers.0.q", Type: "BF16"}, Mixture: lineage.Mixture{Error: error, Coefficients: coefficients}}}
	}
	tests := map[string]struct {
		m       []lineage.Mixed
		verdict lineage.Verdict
		odd     bool
	}{
		"a mean":             {mixed(0.001, 0.5, 0.5), lineage.Confirmed, false},
		"trimmed":            {mixed(0.2, 0.6, 0.4), lineage.Consistent, false},
		"one without a part": {mixed(0.001, 1, 0.001), lineage.Consistent, true},
		"far":                {mixed(0.95, 0.1, 0.2), lineage.Unknown, true},
		"of strangers":       {mixed(0.9999, 0.001, 0.001), lineage.Contradicted, false},
		"nothing in common":  {nil, lineage.Unknown, true},
	}
	for name, tt := range tests {
		j, shares, _ := lineage.JudgeMerge(tt.m, []string{"org/a", "org/b"})
		if j.Verdict != tt.verdict || j.Odd != tt.odd || len(shares) != 2 {
			t.Errorf("%s: %+v %v", name, j, shares)
		}
	}
}

// fingerprint takes that of a model of four layers with the matrices that change makes of normal ones.
func fingerprint(t *testing.T, seed uint64, change func(matrix) matrix) lineage.Fingerprint {
	t.Helper()
	s := lineage.NewSketch(4)
	for i, role := range []string{"layers.0.q", "layers.0.up", "layers.1.q", "layers.1.down", "layers.2.o", "layers.2.v", "layers.3.q", "layers.3.up", "layers.3.o_norm", "embedding"} {
		m := change(normal(seed+uint64(i), 64, 256))
		tt := lineage.Tensor{Role: role, Type: "F32", Rows: 64, Cols: 256}
		if !s.Wants(tt) {
			continue
		}
		if err := s.Add(tt, m); err != nil {
			t.Fatal(err)
		}
	}
	f, err := s.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSimilarity(t *testing.T) {
	t.Parallel()
	same := func(m matrix) matrix { return m }
	model := fingerprint(t, 100, same)
	if len(model.Bits) != 8*8 || !model.Valid() {
		t.Fatalf("fingerprint %+v", model)
	}
	noise := normal(5, 64, 256)
	for name, f := range map[string]lineage.Fingerprint{
		"itself":      fingerprint(t, 100, same),
		"as Q4_0":     fingerprint(t, 100, func(m matrix) matrix { return m.as(t, tensor.Q4_0) }),
		"scaled":      fingerprint(t, 100, func(m matrix) matrix { return m.with(m, 3) }),
		"with noise":  fingerprint(t, 100, func(m matrix) matrix { return m.with(noise, 0.3) }),
		"of two bits": fingerprint(t, 100, coarse),
	} {
		if s := lineage.Similarity(model, f); s < 0.85 {
			t.Errorf("%s: similarity %.3f", name, s)
		}
	}
	highest := 0.0
	for seed := range uint64(60) {
		highest = max(highest, lineage.Similarity(model, fingerprint(t, 1000+20*seed, same)))
	}
	if highest >= lineage.Stranger {
		t.Errorf("a stranger has similarity %.3f", highest)
	}
	other := model
	other.Signature = "l5-0"
	if s := lineage.Similarity(model, other); s != 0 {
		t.Errorf("of another shape: similarity %.3f", s)
	}
}

// coarse rounds to four levels, as the coarsest quantizations do.
func coarse(m matrix) matrix {
	out := matrix{m.cols, make([]float32, len(m.values))}
	for i, v := range m.values {
		level := float32(0.009)
		if v > 0.02 || v < -0.02 {
			level = 0.03
		}
		out.values[i] = float32(math.Copysign(float64(level), float64(v)))
	}
	return out
}

func TestFingerprintRefuses(t *testing.T) {
	t.Parallel()
	good := lineage.Fingerprint{Version: lineage.FingerprintVersion, Signature: "l4-00", Bits: make([]byte, 64)}
	if !good.Valid() {
		t.Fatal("refused a good one")
	}
	for name, change := range map[string]func(*lineage.Fingerprint){
		"version":         func(f *lineage.Fingerprint) { f.Version++ },
		"no bits":         func(f *lineage.Fingerprint) { f.Bits = nil },
		"odd bits":        func(f *lineage.Fingerprint) { f.Bits = f.Bits[:63] },
		"many bits":       func(f *lineage.Fingerprint) { f.Bits = make([]byte, 1<<16) },
		"no signature":    func(f *lineage.Fingerprint) { f.Signature = "" },
		"other letters":   func(f *lineage.Fingerprint) { f.Signature = "l4\x00" },
		"a long one":      func(f *lineage.Fingerprint) { f.Signature = string(bytes.Repeat([]byte("a"), 65)) },
		"quotes and such": func(f *lineage.Fingerprint) { f.Signature = "l4'--" },
	} {
		f := good
		change(&f)
		if f.Valid() || lineage.Similarity(f, f) != 0 {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSketchedLayers(t *testing.T) {
	t.Parallel()
	for layers, want := range map[int][]int{0: nil, 1: {0}, 2: {0, 1}, 4: {0, 1, 2, 3}, 32: {0, 6, 12, 18, 24, 31}} {
		if diff := cmp.Diff(want, lineage.SketchedLayers(layers)); diff != "" {
			t.Errorf("%d layers (-want +got):\n%s", layers, diff)
		}
	}
}
