package packed

import (
	"encoding/binary"
	"slices"

	"github.com/carat-hub/carat/inference/tensor"
)

// gptq is AutoGPTQ's layout. Each input has a group, and a weight is the scale of its group and output times the difference of
// its integer and the zero point of its group and output.
type gptq struct {
	bits      int
	in, out   int
	groups    int
	group     []int32 // of each input
	zeroShift uint32  // what is added to stored zero points
	scales    Tensor
	weight    []byte // {in*bits/32, out} words: for each output a stream of in integers
	zeros     []byte // {groups, out*bits/32} words: for each group a stream of out integers
}

// newGPTQ makes a matrix {outputs, inputs} of the tensors qweight, qzeros, scales and g_idx; without a g_idx, which has no name
// then, size inputs make a group, all of them where size is -1. shift is what is added to stored zero points, by a carry that
// does not leave them: 1 in the first form of the layout, in which a zero point of 0 is stored as the largest integer.
func newGPTQ(bits, size int, shift uint32, weight, zeros, scales, index Tensor) (*Matrix, error) {
	if err := weight.of(tensor.I32); err != nil {
		return nil, err
	}
	if len(weight.Shape) != 2 || weight.Shape[0] < 1 || weight.Shape[0]*32%bits != 0 || len(scales.Shape) != 2 {
		return nil, malformed(weight.Name, "shapes %v and %v are no weights of %d bits with scales", weight.Shape, scales.Shape, bits)
	}
	g := &gptq{
		bits: bits, in: weight.Shape[0] * 32 / bits, out: weight.Shape[1], groups: scales.Shape[0], zeroShift: shift,
		scales: scales, weight: weight.Data, zeros: zeros.Data,
	}
	if size == -1 {
		size = g.in
	}
	if g.out*bits%32 != 0 {
		return nil, malformed(zeros.Name, "zero points of %d outputs do not fill words", g.out)
	}
	if err := zeros.want([]int{g.groups, g.out * bits / 32}, tensor.I32); err != nil {
		return nil, err
	}
	if err := scales.want([]int{g.groups, g.out}, scaleTypes...); err != nil {
		return nil, err
	}
	if index.Name != "" {
		if err := index.want([]int{g.in}, tensor.I32); err != nil {
			return nil, err
		}
	} else if g.groups != tiles(g.in, size) {
		return nil, malformed(scales.Name, "%d groups, %d inputs in groups of %d want %d", g.groups, g.in, size, tiles(g.in, size))
	}
	if weight.Data == nil {
		return newMatrix(g, g.out, g.in), nil
	}
	g.group = make([]int32, g.in)
	for i := range g.group {
		g.group[i] = int32(i / size)
		if index.Name != "" {
			g.group[i] = int32(binary.LittleEndian.Uint32(index.Data[4*i:]))
		}
	}
	if least, most := slices.Min(g.group), slices.Max(g.group); least < 0 || int(most) >= g.groups {
		return nil, malformed(index.Name, "groups from %d to %d of %d", least, most, g.groups)
	}
	return newMatrix(g, g.out, g.in), nil
}

func (g *gptq) decode(dst []float32, first, count int) {
	mask := uint32(1)<<g.bits - 1
	scale, zero := make([]float32, g.groups), make([]float32, g.groups)
	for r := range count {
		out := first + r
		for i := range scale {
			scale[i] = element(g.scales.Type, g.scales.Data, i*g.out+out)
			at := i * g.out * g.bits / 32
			zero[i] = float32((g.integer(g.zeros, at, 1, out) + g.zeroShift) & mask)
		}
		row := dst[r*g.in : (r+1)*g.in]
		if g.bits == 3 {
			for i := range row {
				row[i] = scale[g.group[i]] * (float32(g.integer(g.weight, out, g.out, i)) - zero[g.group[i]])
			}
			continue
		}
		each := 32 / g.bits
		for w := 0; len(row) >= each; w++ {
			v, group := word(g.weight, w*g.out+out), g.group[w*each:][:each]
			for i, of := range group {
				row[i] = scale[of] * (float32(int32(v&mask)) - zero[of])
				v >>= g.bits
			}
			row = row[each:]
		}
	}
}

// integer returns the i-th integer of a stream whose words lie stride apart from word at on.
func (g *gptq) integer(b []byte, at, stride, i int) uint32 {
	w, shift := i*g.bits/32, i*g.bits%32
	v := word(b, at+w*stride) >> shift
	if shift+g.bits > 32 {
		v |= word(b, at+(w+1)*stride) << (32 - shift)
	}
	return v & (1<<g.bits - 1)
}
