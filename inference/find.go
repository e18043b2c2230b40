package inference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

func (b *binder) malformed(name, format string, args ...any) error {
	f := "safetensors"
	if b.c.gguf != nil {
		f = "gguf"
	}
	return &fault.Malformed{Format: f, Where: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// stored returns the tensor of that name, which may lack the prefix of the architecture's names; nil when there is none.
func (b *binder) stored(name string) *storedTensor {
	if t := b.byName[name]; t != nil || b.names.prefix == "" {
		return t
	}
	return b.byName[strings.TrimPrefix(name, b.names.prefix)]
}

func (b *binder) has(name string) bool { return b.stored(name) != nil }

// find returns the tensor of that name and shape; a length of -1 leaves a dimension open.
func (b *binder) find(name string, shape ...int) (*storedTensor, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if t.packed != nil && t.shape == nil {
		t.shape = shape
	}
	if !slices.EqualFunc(t.shape, shape, func(has, want int) bool { return has == want || want < 0 }) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %v", t.shape, shape)
	}
	return t, nil
}

// findFlat returns the tensor of that name whose last dimension is cols and whose others make up rows.
func (b *binder) findFlat(name string, rows, cols int) (*storedTensor, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if t.packed != nil && t.shape == nil {
		t.shape = []int{rows, cols}
	}
	n, ok := tensor.Elements(t.shape)
	if !ok || len(t.shape) == 0 || t.shape[len(t.shape)-1] != cols || n != int64(rows)*int64(cols) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %d rows of %d", t.shape, rows, cols)
	}
	return t, nil
}

// linear binds name.weight of rows x cols, and name.bias if there is one.
func (b *binder) linear(name string, rows, cols int) (linear, error) {
	t, err := b.find(name+".weight", rows, cols)
	if err != nil {
		return linear{}, err
	}
	ls, err := b.cut(name, t, []int{t.shape[0]}, cols)
	if err != nil {
		return linear{}, err
	}
	return ls[0], nil
}

// cut makes one linear of each run of rows of t, which is name.weight, with the same runs of name.bias.
func (b *binder) cut(name string, t *storedTensor, runs []int, cols int) ([]linear, error) {
	total := 0
	for _, n := range runs {
		total += n
	}
	if b.dry && t.typ.Runnable() {
		for _, suffix := range []string{".bias", "_bias", ".scale", ".input_scale"} {
			if s := b.stored(name + suffix); s != nil {
				b.used[s.name] = true
				n, _ := tensor.Elements(s.shape)
				b.decoded += 4 * n
			}
		}
	}
	out := make([]linear, len(runs))
	first := 0
	for i, n := range runs {
		var err error
		if out[i].Matrix, err = b.matrix(t, first, n, cols); err != nil {
			return nil, err
		}
		first += n
	}
	if b.dry {
		return out, b.adapt(name, out, cols)
	}
	bias, err := b.bias(name, total)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if bias != nil {
			out[i].bias, bias = bias[:runs[i]:runs[i]], bias[runs[i]:]
		}
	}
	if err := b.scale(name, out); err != nil {
		return nil, err
	}
	return out, b.adapt(name, out, cols)
}

// bias reads name.bias, or name_bias of experts, into memory; nil when there is none.
func (b *binder) bias(name string, n int) ([]float32, error) {
	switch {
	case b.has(name + ".bias"):
		return b.flat(name+".bias", n)
	case b.has(name + "_bias"):
		return b.flat(name+"_bias", n)
	}
	return nil, nil
}

// matrix describes n rows of t from the first-th on.
func (b *binder) matrix(t *storedTensor, first, n, cols int) (*kernel.Matrix, error) {
	if _, whole := t.typ.Size(int64(cols)); b.dry && t.typ.Runnable() && whole {
		return &kernel.Matrix{Type: t.typ, Rows: n, Cols: cols}, nil
	}
	return b.c.matrix(t, first, n, cols)
}

// matrix describes n rows of t from the first-th on.
func (c *container) matrix(t *storedTensor, first, n, cols int) (*kernel.Matrix, error) {
	row, ok := t.typ.Size(int64(cols))
	f, err := c.reader(t)
	if err != nil {
		return nil, err
	}
	off, size := t.offset+int64(first)*row, int64(n)*row
	if !ok || off+size > t.offset+t.size {
		// The kernel refuses what has no rows of whole blocks, and says why.
		off, size = t.offset, t.size
	}
	var m *kernel.Matrix
	if mapped, isMapped := f.(Mapped); isMapped {
		m, err = kernel.NewMatrix(t.typ, n, cols, mapped.Bytes()[off:off+size])
	} else {
		m, err = kernel.NewFileMatrix(t.typ, n, cols, f, off, size)
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.name, err)
	}
	return m, nil
}

// scale binds name.scale, one factor for all of ls or one for each. name.input_scale is for engines that quantize activations to
// 4 bits.
func (b *binder) scale(name string, ls []linear) error {
	t := b.stored(name + ".scale")
	if t == nil {
		return nil
	}
	n := 1
	if elements, _ := tensor.Elements(t.shape); elements == int64(len(ls)) {
		n = len(ls)
	}
	v, err := b.flat(name+".scale", n)
	if err != nil {
		return err
	}
	b.used[name+".input_scale"] = true
	fam := b.d.family
	expert := strings.HasSuffix(name, "_exps")
	feedForward := strings.Contains(name, ".ffn_") && !expert
	if feedForward && !fam.feedForwardScales || expert && !fam.expertScales {
		return nil
	}
	for i := range ls {
		ls[i].Scale = v[min(i, n-1)]
		if feedForward {
			// The feed-forward layer adds its biases before it scales.
			for j := range ls[i].bias {
				ls[i].bias[j] *= ls[i].Scale
			}
		}
	}
	return nil
}

// norm binds name.weight and, if there is one, name.bias.
func (b *binder) norm(name string, n int) (v norm, err error) {
	switch {
	case name == "":
		return norm{}, nil
	case b.d.family.unweighted:
		b.decoded += 4 * int64(n)
		return norm{weight: slices.Repeat([]float32{1}, n)}, nil
	}
	if v.weight, err = b.flat(name+".weight", n); err != nil {
		return norm{}, err
	}
	if b.d.family.onePlus && b.c.gguf == nil {
		for i := range v.weight {
			v.weight[i]++
		}
	}
	if b.has(name + ".bias") {
		v.bias, err = b.flat(name+".bias", n)
	}
	return v, err
}

// flat reads a tensor of n elements, whatever its dimensions, into memory.
func (b *binder) flat(name string, n int) ([]float32, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if elements, ok := tensor.Elements(t.shape); !ok || elements != int64(n) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %v", t.shape, []int{n})
	}
	b.decoded += 4 * int64(n)
	if b.dry {
		return nil, nil
	}
	return b.decode(t, n)
}

// decode reads the n elements of a tensor into memory.
func (b *binder) decode(t *storedTensor, n int) ([]float32, error) {
	raw, err := b.c.read(t)
	if err != nil {
		return nil, err
	}
	v := make([]float32, n)
	if err := tensor.Decode(t.typ, v, raw); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.name, err)
	}
	return v, nil
}
