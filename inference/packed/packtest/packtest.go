package packtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
)

// Part is one tensor of a matrix. Suffix is what its name has in place of ".weight"; DType is safetensors' name of its type.
type Part struct {
	Suffix, DType string
	Shape         []int
	Data          []byte
}

// Matrix is a matrix of Rows outputs and Cols inputs, its tensors, and its values.
type Matrix struct {
	Rows, Cols int
	Parts      []Part
	Values     []float64
}

// half are scales that 16-bit floats hold exactly.
func half(r *rand.Rand) (v float64, bits uint16) {
	fraction, exponent := r.IntN(1024), r.IntN(3)-8
	return math.Ldexp(1+float64(fraction)/1024, exponent), uint16((exponent+15)<<10 | fraction)
}

func halves(r *rand.Rand, n int) (values []float64, b []byte) {
	for range n {
		v, bits := half(r)
		values, b = append(values, v), binary.LittleEndian.AppendUint16(b, bits)
	}
	return values, b
}

func singles(values []float64) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	return b
}

func words(w []uint32) (b []byte) {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// column packs integers of some bits into words. Three bits take three words for 32 integers, of which the eleventh and the
// twenty-second are cut.
func column(q []uint32, bits int) []uint32 {
	var out []uint32
	if bits != 3 {
		for i := 0; i < len(q); i += 32 / bits {
			w := uint32(0)
			for j := range 32 / bits {
				w |= q[i+j] << (bits * j)
			}
			out = append(out, w)
		}
		return out
	}
	for i := 0; i < len(q); i += 32 {
		a, b, c := q[i+10]<<30, q[i+10]>>2&1|q[i+21]<<31, q[i+21]>>1&3
		for j := range 10 {
			a |= q[i+j] << (3 * j)
			b |= q[i+11+j] << (3*j + 1)
			c |= q[i+22+j] << (3*j + 2)
		}
		out = append(out, a, b, c)
	}
	return out
}

// GPTQ quantizes with groups of size inputs, which act says are of inputs in a random order. v2 stores zero points as they are,
// and not less one. Without an index the groups are of neighbours.
func GPTQ(r *rand.Rand, rows, cols, bits, size int, act, symmetric, v2, index bool) Matrix {
	if size == -1 {
		size = cols
	}
	groups := (cols + size - 1) / size
	group := make([]int, cols)
	for i := range group {
		group[i] = i / size
	}
	if act {
		r.Shuffle(cols, func(i, j int) { group[i], group[j] = group[j], group[i] })
	}
	scales, scaleBytes := halves(r, groups*rows)
	zero := make([]uint32, groups*rows)
	for i := range zero {
		zero[i] = uint32(r.IntN(1 << bits))
		if symmetric {
			zero[i] = 1 << (bits - 1)
		}
	}
	m := Matrix{Rows: rows, Cols: cols, Values: make([]float64, rows*cols)}
	packed := make([]uint32, cols*bits/32*rows)
	for o := range rows {
		q := make([]uint32, cols)
		for i := range q {
			q[i] = uint32(r.IntN(1 << bits))
			g := group[i]
			m.Values[o*cols+i] = scales[g*rows+o] * (float64(q[i]) - float64(zero[g*rows+o]))
		}
		for w, v := range column(q, bits) {
			packed[w*rows+o] = v
		}
	}
	var zeros []uint32
	for g := range groups {
		stored := make([]uint32, rows)
		for o := range stored {
			if stored[o] = zero[g*rows+o]; !v2 {
				stored[o] = (stored[o] - 1) % (1 << bits)
			}
		}
		zeros = append(zeros, column(stored, bits)...)
	}
	m.Parts = []Part{
		{".qweight", "I32", []int{cols * bits / 32, rows}, words(packed)},
		{".qzeros", "I32", []int{groups, rows * bits / 32}, words(zeros)},
		{".scales", "F16", []int{groups, rows}, scaleBytes},
	}
	if index {
		var g []uint32
		for _, v := range group {
			g = append(g, uint32(v))
		}
		m.Parts = append(m.Parts, Part{".g_idx", "I32", []int{cols}, words(g)})
	}
	return m
}

// AWQ quantizes with groups of size inputs.
func AWQ(r *rand.Rand, rows, cols, size int) Matrix {
	order := [8]int{0, 2, 4, 6, 1, 3, 5, 7}
	groups := (cols + size - 1) / size
	scales, scaleBytes := halves(r, groups*rows)
	pack := func(n int) (q, w []uint32) {
		q = make([]uint32, n*rows)
		for i := range q {
			q[i] = uint32(r.IntN(16))
		}
		for i := range n {
			for o := 0; o < rows; o += 8 {
				v := uint32(0)
				for j, from := range order {
					v |= q[i*rows+o+from] << (4 * j)
				}
				w = append(w, v)
			}
		}
		return q, w
	}
	zero, zeros := pack(groups)
	q, weights := pack(cols)
	m := Matrix{Rows: rows, Cols: cols, Values: make([]float64, rows*cols)}
	for o := range rows {
		for i := range cols {
			g := i / size
			m.Values[o*cols+i] = scales[g*rows+o] * (float64(q[i*rows+o]) - float64(zero[g*rows+o]))
		}
	}
	m.Parts = []Part{
		{".qweight", "I32", []int{cols, rows / 8}, words(weights)},
		{".qzeros", "I32", []int{groups, rows / 8}, words(zeros)},
		{".scales", "F16", []int{groups, rows}, scaleBytes},
	}
	return m
}

// eight is the value of an 8-bit float with a sign, the given mantissa and its bias.
func eight(b byte, mantissa, bias int) float64 {
	exponent, fraction := int(b&0x7f)>>mantissa, float64(int(b)&(1<<mantissa-1))/float64(int(1)<<mantissa)
	v := math.Ldexp(1+fraction, exponent-bias)
	if exponent == 0 {
		v = math.Ldexp(fraction, 1-bias)
	}
	if b >= 128 {
		return -v
	}
	return v
}

// Scaled has elements of the type dtype, F8_E4M3, F8_E5M2 or I8, and scales in a tensor of suffix: one for each tile of the given
// rows and columns, for each row where the columns are 0, or for all where both are 0. factor multiplies all scales.
func Scaled(r *rand.Rand, rows, cols int, dtype, suffix string, tile [2]int, factor float64) Matrix {
	shape := []int{(rows + tile[0] - 1) / max(tile[0], 1), (cols + tile[1] - 1) / max(tile[1], 1)}
	at := func(o, i int) int { return o/tile[0]*shape[1] + i/tile[1] }
	switch {
	case tile[0] == 0:
		shape, at = []int{1}, func(int, int) int { return 0 }
	case tile[1] == 0:
		shape, at = []int{rows, 1}, func(o, _ int) int { return o }
	}
	if suffix == ".SCB" {
		shape = []int{rows}
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	scales, _ := halves(r, n)
	m := Matrix{Rows: rows, Cols: cols}
	var data []byte
	for o := range rows {
		for i := range cols {
			b := byte(r.IntN(256))
			v := float64(int8(b))
			switch dtype {
			case "F8_E4M3":
				if b&0x7f == 0x7f { // NaN
					b ^= 1
				}
				v = eight(b, 3, 7)
			case "F8_E5M2":
				b &^= 0x40 // infinities, NaN, and what is too large to be a weight
				v = eight(b, 2, 15)
			}
			data = append(data, b)
			m.Values = append(m.Values, v*scales[at(o, i)]*factor)
		}
	}
	m.Parts = []Part{{".weight", dtype, []int{rows, cols}, data}, {suffix, "F32", shape, singles(scales)}}
	return m
}

// nf4 are the levels of NF4: quantiles of the normal distribution, as QLoRA gives them.
var nf4 = [16]float64{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
	-0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// fp4 are the levels of FP4: a sign, two bits of exponent and one of mantissa, as parts of 12.
var fp4 = [16]float64{
	0, 0.0625 / 12, 8.0 / 12, 1, 4.0 / 12, 6.0 / 12, 2.0 / 12, 3.0 / 12,
	0, -0.0625 / 12, -8.0 / 12, -1, -4.0 / 12, -6.0 / 12, -2.0 / 12, -3.0 / 12,
}

// FourBit is bitsandbytes' NF4 or FP4 in blocks of size elements, whose magnitudes are quantized themselves where twice says so.
func FourBit(r *rand.Rand, rows, cols int, kind string, size int, twice bool) Matrix {
	table := nf4
	if kind == "fp4" {
		table = fp4
	}
	for i := range table {
		table[i] = float64(float32(table[i]))
	}
	n := rows * cols
	blocks := (n + size - 1) / size
	m := Matrix{Rows: rows, Cols: cols}
	state := map[string]any{"quant_type": kind, "blocksize": size, "dtype": "float16", "shape": []int{rows, cols}}
	largest, _ := halves(r, blocks)
	magnitudes := Part{".weight.absmax", "F32", []int{blocks}, singles(largest)}
	var nested []Part
	if twice {
		const each = 256
		offset := 0.0125
		levels := make([]float64, 256)
		for i := range levels {
			levels[i] = float64(i-128) / 128
		}
		outer, _ := halves(r, (blocks+each-1)/each)
		magnitudes.DType, magnitudes.Data = "U8", nil
		for i := range largest {
			b := byte(r.IntN(256))
			magnitudes.Data = append(magnitudes.Data, b)
			largest[i] = levels[b]*outer[i/each] + offset
		}
		state["nested_blocksize"], state["nested_dtype"], state["nested_offset"] = each, "float32", offset
		nested = []Part{
			{".weight.nested_absmax", "F32", []int{len(outer)}, singles(outer)},
			{".weight.nested_quant_map", "F32", []int{256}, singles(levels)},
		}
	}
	var data []byte
	for i := range n {
		q := byte(r.IntN(16))
		m.Values = append(m.Values, table[q]*largest[i/size])
		if i%2 == 0 {
			data = append(data, q<<4)
		} else {
			data[i/2] |= q
		}
	}
	b, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprint("marshal a map of numbers: ", err))
	}
	m.Parts = append([]Part{
		{".weight", "U8", []int{len(data), 1}, data},
		magnitudes,
		{".weight.quant_map", "F32", []int{16}, singles(table[:])},
		{".weight.quant_state.bitsandbytes__" + kind, "U8", []int{len(b)}, b},
	}, nested...)
	return m
}

// MXFP4 is gpt-oss's layout; its parts are the tensors blocks and scales of a matrix without .weight in its name.
func MXFP4(r *rand.Rand, rows, cols int) Matrix {
	levels := [8]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6}
	m := Matrix{Rows: rows, Cols: cols}
	var blocks, scales []byte
	for range rows * cols / 32 {
		exponent := r.IntN(4) + 122
		scales = append(scales, byte(exponent))
		for range 16 {
			b := byte(r.IntN(256))
			blocks = append(blocks, b)
			for _, q := range []byte{b & 15, b >> 4} {
				v := math.Ldexp(levels[q&7], exponent-127)
				if q >= 8 {
					v = -v
				}
				m.Values = append(m.Values, v)
			}
		}
	}
	m.Parts = []Part{
		{"_blocks", "U8", []int{rows, cols / 32, 16}, blocks}, {"_scales", "U8", []int{rows, cols / 32}, scales},
	}
	return m
}

// Words is compressed-tensors' layout pack-quantized, with groups of size inputs, and zero points where asymmetric says so.
func Words(r *rand.Rand, rows, cols, bits, size int, asymmetric bool) Matrix {
	each, groups := 32/bits, cols/size
	scales, scaleBytes := halves(r, rows*groups)
	m := Matrix{Rows: rows, Cols: cols}
	padded := func(q []uint32) []uint32 {
		for len(q)%each != 0 {
			q = append(q, 0)
		}
		return column(q, bits)
	}
	zero := make([]uint32, rows*groups)
	for i := range zero {
		if zero[i] = 1 << (bits - 1); asymmetric {
			zero[i] = uint32(r.IntN(1 << bits))
		}
	}
	var weights []uint32
	for o := range rows {
		q := make([]uint32, cols)
		for i := range q {
			q[i] = uint32(r.IntN(1 << bits))
			m.Values = append(m.Values, scales[o*groups+i/size]*(float64(q[i])-float64(zero[o*groups+i/size])))
		}
		weights = append(weights, padded(q)...)
	}
	shape := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(rows)), uint64(cols))
	m.Parts = []Part{
		{".weight_packed", "I32", []int{rows, (cols + each - 1) / each}, words(weights)},
		{".weight_scale", "F16", []int{rows, groups}, scaleBytes},
		{".weight_shape", "I64", []int{2}, shape},
	}
	if asymmetric {
		tall := (rows + each - 1) / each
		packed := make([]uint32, tall*groups)
		for g := range groups {
			q := make([]uint32, rows)
			for o := range q {
				q[o] = zero[o*groups+g]
			}
			for w, v := range padded(q) {
				packed[w*groups+g] = v
			}
		}
		m.Parts = append(m.Parts, Part{".weight_zero_point", "I32", []int{tall, groups}, words(packed)})
	}
	return m
}
