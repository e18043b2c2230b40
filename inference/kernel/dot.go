package kernel

import (
	"encoding/binary"
	"math"

	"github.com/carat-hub/carat/inference/tensor"
)

// Dot returns the sum of the products of a and b, which have the same length, with eight partial sums that are added in a
// fixed order.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(a) >= 8 && len(b) >= 8 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		s4 += a[4] * b[4]
		s5 += a[5] * b[5]
		s6 += a[6] * b[6]
		s7 += a[7] * b[7]
		a, b = a[8:], b[8:]
	}
	sum := ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// dotBytes multiplies one row of encoded weights with x without decoding it to memory. ok is false for types that have no such
// path; src holds exactly the encoding of len(x) elements.
func dotBytes(t tensor.Type, src []byte, x []float32) (sum float32, ok bool) {
	switch t {
	case tensor.F32:
		return dotF32(src, x), true
	case tensor.F16:
		return dotF16(src, x), true
	case tensor.BF16:
		return dotBF16(src, x), true
	}
	return 0, false
}

// elementAt returns element i of a row of one of the plain types.
func elementAt(t tensor.Type, row []byte, i int) float32 {
	switch t {
	case tensor.F16:
		return tensor.HalfTable()[binary.LittleEndian.Uint16(row[2*i:])]
	case tensor.BF16:
		return bf16At(row[2*i:])
	}
	return f32At(row[4*i:])
}

func f32At(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func bf16At(b []byte) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
}

func dotF32(src []byte, x []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= 8 && len(src) >= 32 {
		s0 += f32At(src) * x[0]
		s1 += f32At(src[4:]) * x[1]
		s2 += f32At(src[8:]) * x[2]
		s3 += f32At(src[12:]) * x[3]
		s4 += f32At(src[16:]) * x[4]
		s5 += f32At(src[20:]) * x[5]
		s6 += f32At(src[24:]) * x[6]
		s7 += f32At(src[28:]) * x[7]
		x, src = x[8:], src[32:]
	}
	sum := ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
	for i, v := range x {
		sum += f32At(src[4*i:]) * v
	}
	return sum
}

func dotF16(src []byte, x []float32) float32 {
	table := tensor.HalfTable()
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= 8 && len(src) >= 16 {
		s0 += table[binary.LittleEndian.Uint16(src)] * x[0]
		s1 += table[binary.LittleEndian.Uint16(src[2:])] * x[1]
		s2 += table[binary.LittleEndian.Uint16(src[4:])] * x[2]
		s3 += table[binary.LittleEndian.Uint16(src[6:])] * x[3]
		s4 += table[binary.LittleEndian.Uint16(src[8:])] * x[4]
		s5 += table[binary.LittleEndian.Uint16(src[10:])] * x[5]
		s6 += table[binary.LittleEndian.Uint16(src[12:])] * x[6]
		s7 += table[binary.LittleEndian.Uint16(src[14:])] * x[7]
		x, src = x[8:], src[16:]
	}
	sum := ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
	for i, v := range x {
		sum += table[binary.LittleEndian.Uint16(src[2*i:])] * v
	}
	return sum
}

func dotBF16(src []byte, x []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= 8 && len(src) >= 16 {
		s0 += bf16At(src) * x[0]
		s1 += bf16At(src[2:]) * x[1]
		s2 += bf16At(src[4:]) * x[2]
		s3 += bf16At(src[6:]) * x[3]
		s4 += bf16At(src[8:]) * x[4]
		s5 += bf16At(src[10:]) * x[5]
		s6 += bf16At(src[12:]) * x[6]
		s7 += bf16At(src[14:]) * x[7]
		x, src = x[8:], src[16:]
	}
	sum := ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
	for i, v := range x {
		sum += bf16At(src[2*i:]) * v
	}
	return sum
}
