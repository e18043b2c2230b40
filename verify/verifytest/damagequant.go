package verifytest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference/tensor"
)

// scaleAt is where a block of a quantized type holds the factor of all its values, as a 16-bit float.
var scaleAt = map[tensor.Type]int{tensor.Q8_0: 0, tensor.Q4_0: 0, tensor.Q4K: 0, tensor.Q6K: 208}

// poison makes a number of the n-th block NaN.
func (t *Tensor) poison(n int) {
	_, size := t.Type.Block()
	b := t.Data[n*size : (n+1)*size]
	switch t.Type {
	case tensor.F32:
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(math.NaN())))
	case tensor.BF16:
		binary.LittleEndian.PutUint16(b, 0x7fc0)
	case tensor.F16:
		binary.LittleEndian.PutUint16(b, 0x7e00)
	default:
		binary.LittleEndian.PutUint16(b[scaleAt[t.Type]:], 0x7e00)
	}
}

// scales returns the factors of the blocks.
func (t *Tensor) scales() []float32 {
	_, size := t.Type.Block()
	s := make([]float32, len(t.Data)/size)
	for i := range s {
		s[i] = tensor.HalfTable()[binary.LittleEndian.Uint16(t.Data[i*size+scaleAt[t.Type]:])]
	}
	return s
}

func (t *Tensor) setScales(s []float32) {
	_, size := t.Type.Block()
	for i, v := range s {
		binary.LittleEndian.PutUint16(t.Data[i*size+scaleAt[t.Type]:], tensor.HalfFromFloat(v))
	}
}

func wrongScales(c *Case) string {
	quantized := c.Model.sorted(func(t *Tensor) bool { _, ok := scaleAt[t.Type]; return ok && t.matrix() })
	if len(quantized) == 0 {
		return ""
	}
	t := one(c.r, quantized)
	s := t.scales()
	switch c.seed % 3 {
	case 0:
		factor := one(c.r, []float32{0.25, 4, 8, 0.125})
		for i := range s {
			s[i] *= factor
		}
		t.setScales(s)
		return fmt.Sprintf("%s: scales times %g", t.Name, factor)
	case 1: // as of a converter that mixes up the blocks
		c.r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		t.setScales(s)
		return t.Name + ": scales of other blocks"
	}
	// Scales that were written as bfloat16 and are read as half precision.
	_, size := t.Type.Block()
	for i, v := range s {
		binary.LittleEndian.PutUint16(t.Data[i*size+scaleAt[t.Type]:], uint16(math.Float32bits(v)>>16))
	}
	return t.Name + ": scales as bfloat16"
}
