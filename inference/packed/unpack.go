package packed

import (
	"slices"
	"strings"
)

// Unpacked is a matrix of a model by the name that it would have if it were not quantized.
type Unpacked struct {
	Name   string
	Matrix *Matrix
}

// Open gives a stored tensor by name, with its data if that is to be read. A small tensor is read into memory; the data of
// others may be a mapping.
type Open func(name string, small bool) (Tensor, error)

// Unpack finds the quantized matrices among the tensors called names. rest are the tensors that are stored as they are;
// constants for the quantization of activations and of the cache, which are not quantized here, are left out of it. It returns
// a *fault.Malformed for parts that do not fit each other, a *fault.Unsupported for variants that are not read, and the errors
// of open.
func (c *Config) Unpack(names []string, open Open) (matrices []Unpacked, rest []string, err error) {
	u := &unpacker{open: open, names: make(map[string]bool, len(names)), used: map[string]bool{}}
	for _, n := range names {
		u.names[n] = true
	}
	for _, n := range names {
		if err := c.unpack(u, n); err != nil {
			return nil, nil, err
		}
	}
	rest = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return u.used[n] || ofActivations(n) })
	return u.matrices, rest, nil
}

// ofActivations says whether a tensor tells how activations, keys or values are quantized.
func ofActivations(name string) bool {
	for _, suffix := range []string{".input_scale", ".activation_scale", ".k_scale", ".v_scale", ".q_scale"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// unpacker collects the matrices of a model. Its methods are called with each name and pass over those that are not the first
// part of a matrix.
type unpacker struct {
	open     Open
	names    map[string]bool
	used     map[string]bool
	matrices []Unpacked
}

func (u *unpacker) add(name string, m *Matrix, err error) error {
	if u.names[name] && !u.used[name] {
		return malformed(name, "tensor is stored packed and plain")
	}
	if err == nil {
		u.matrices = append(u.matrices, Unpacked{name, m})
	}
	return err
}

// part opens a tensor that a matrix is made of.
func (u *unpacker) part(to *Tensor, name string, small bool) error {
	if !u.names[name] {
		return malformed(name, "tensor is missing")
	}
	u.used[name] = true
	var err error
	*to, err = u.open(name, small)
	return err
}

// optional is part for a tensor that need not be there.
func (u *unpacker) optional(to *Tensor, name string, small bool) error {
	if !u.names[name] {
		return nil
	}
	return u.part(to, name, small)
}

// scaled unpacks name.weight with name.weight_scale, or with name.weight_scale_inv, which is no inverse whatever its name says.
func (u *unpacker) scaled(name string, tile []int) error {
	base, ok := strings.CutSuffix(name, ".weight")
	if !ok {
		return nil
	}
	scales := name + "_scale_inv"
	if !u.names[scales] {
		scales = name + "_scale"
	}
	if !u.names[scales] {
		return nil
	}
	var weight, scale Tensor
	if err := u.part(&weight, name, false); err != nil {
		return err
	}
	if err := u.part(&scale, scales, true); err != nil {
		return err
	}
	if tile != nil && scale.elements() == 1 {
		tile = nil
	}
	m, err := newScaled(weight, scale, tile, 1)
	return u.add(base+".weight", m, err)
}

// int8 unpacks name.weight with name.SCB, the largest magnitude of each row.
func (u *unpacker) int8(name string) error {
	base, ok := strings.CutSuffix(name, ".SCB")
	if !ok {
		return nil
	}
	var weight, largest, format Tensor
	if err := u.part(&weight, base+".weight", false); err != nil {
		return err
	}
	if err := u.part(&largest, name, true); err != nil {
		return err
	}
	if err := u.optional(&format, base+".weight_format", true); err != nil {
		return err
	}
	if slices.ContainsFunc(format.Data, func(b byte) bool { return b != 0 }) {
		return unsupported("LLM.int8 with %s in the order %d", base, format.Data[0])
	}
	m, err := newScaled(weight, largest, nil, 1.0/127)
	return u.add(base+".weight", m, err)
}

func (u *unpacker) gptq(name string, bits, size int, shift uint32) error {
	base, ok := strings.CutSuffix(name, ".qweight")
	if !ok {
		return nil
	}
	var weight, zeros, scales, index Tensor
	if err := u.part(&weight, name, false); err != nil {
		return err
	}
	if err := u.part(&zeros, base+".qzeros", false); err != nil {
		return err
	}
	if err := u.part(&scales, base+".scales", false); err != nil {
		return err
	}
	if err := u.optional(&index, base+".g_idx", true); err != nil {
		return err
	}
	m, err := newGPTQ(bits, size, shift, weight, zeros, scales, index)
	return u.add(base+".weight", m, err)
}

func (u *unpacker) awq(name string, size int) error {
	base, ok := strings.CutSuffix(name, ".qweight")
	if !ok {
		return nil
	}
	var weight, zeros, scales Tensor
	if err := u.part(&weight, name, false); err != nil {
		return err
	}
	if err := u.part(&zeros, base+".qzeros", false); err != nil {
		return err
	}
	if err := u.part(&scales, base+".scales", false); err != nil {
		return err
	}
	m, err := newAWQ(size, weight, zeros, scales)
	return u.add(base+".weight", m, err)
}

func (u *unpacker) fourBit(name string) error {
	weight, ok := strings.CutSuffix(name, ".absmax")
	if !ok {
		return nil
	}
	var p fourBitParts
	state := weight + ".quant_state.bitsandbytes__nf4"
	if !u.names[state] {
		state = weight + ".quant_state.bitsandbytes__fp4"
	}
	for _, part := range []struct {
		to    *Tensor
		name  string
		small bool
	}{{&p.weight, weight, false}, {&p.largest, name, false}, {&p.table, weight + ".quant_map", true}, {&p.state, state, true}} {
		if err := u.part(part.to, part.name, part.small); err != nil {
			return err
		}
	}
	if err := u.optional(&p.nestedLargest, weight+".nested_absmax", true); err != nil {
		return err
	}
	if err := u.optional(&p.nestedTable, weight+".nested_quant_map", true); err != nil {
		return err
	}
	m, err := newFourBit(p)
	return u.add(weight, m, err)
}

func (u *unpacker) mxfp4(name string) error {
	base, ok := strings.CutSuffix(name, "_blocks")
	if !ok {
		return nil
	}
	var blocks, scales Tensor
	if err := u.part(&blocks, name, false); err != nil {
		return err
	}
	if err := u.part(&scales, base+"_scales", false); err != nil {
		return err
	}
	m, err := newMXFP4(blocks, scales)
	return u.add(base, m, err)
}

// words unpacks name.weight_packed, in which a row's integers fill words.
func (u *unpacker) words(name string, bits int) error {
	base, ok := strings.CutSuffix(name, "_packed")
	if !ok {
		return nil
	}
	var p wordParts
	for _, part := range []struct {
		to    *Tensor
		name  string
		small bool
	}{{&p.weight, name, false}, {&p.scale, base + "_scale", false}, {&p.shape, base + "_shape", true}} {
		if err := u.part(part.to, part.name, part.small); err != nil {
			return err
		}
	}
	if err := u.optional(&p.zeros, base+"_zero_point", false); err != nil {
		return err
	}
	if err := u.optional(&p.index, base+"_g_idx", true); err != nil {
		return err
	}
	m, err := newWords(p, bits)
	return u.add(base, m, err)
}
