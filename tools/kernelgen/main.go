// Command kernelgen writes the amd64 assembly of inference/kernel. Run it with "go generate ./inference/kernel"; what it writes
// is committed, so that building the library needs no generator.
package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	for _, w := range []width{ymm, zmm} {
		for _, f := range []format{f32, f16, bf16} {
			for _, shape := range [][2]int{{4, 3}, {4, 2}, {4, 1}, {1, 1}} {
				tile(w, f, shape[0], shape[1])
			}
		}
		reduce(w)
	}
	dotQ8()
	quantize()
	decode(f16)
	decode(bf16)
	decodeQ8()
	mix()
	largest()
	exponentials()
	Generate()
}

// width is a size of vector registers and what kernels for it are called.
type width struct {
	name  string
	lanes int
	vec   func() reg.VecVirtual
}

var (
	ymm = width{"AVX2", 8, YMM}
	zmm = width{"AVX512", 16, ZMM}
)

// format is how weights are stored and how lanes of them are loaded as float32.
type format struct {
	name  string
	bytes int
	load  func(from Mem, to reg.VecVirtual)
}

var (
	f32  = format{"F32", 4, func(from Mem, to reg.VecVirtual) { VMOVUPS(from, to) }}
	f16  = format{"F16", 2, func(from Mem, to reg.VecVirtual) { VCVTPH2PS(from, to) }}
	bf16 = format{"BF16", 2, func(from Mem, to reg.VecVirtual) {
		VPMOVZXWD(from, to)
		VPSLLD(Imm(16), to, to)
	}}
)

func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// loop runs body while the counter, which is at least 1 at the start, is not zero.
func loop(name string, counter reg.GPVirtual, body func()) {
	Label(name)
	body()
	DECQ(counter)
	JNZ(LabelRef(name))
}

// rowAddresses returns the addresses of up to four rows that lie stride bytes apart.
func rowAddresses(base, stride reg.GPVirtual, rows int) []Mem {
	at := []Mem{{Base: base}, {Base: base, Index: stride, Scale: 1}, {Base: base, Index: stride, Scale: 2}}
	if rows == 4 {
		third := GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, third)
		at = append(at, Mem{Base: base, Index: third, Scale: 1})
	}
	return at[:rows]
}

// tile multiplies rows of weights with columns of activations, a register of lanes at a time. The sums stay in lanes.
func tile(w width, f format, rows, cols int) {
	name := "tile" + f.name + "x" + string(rune('0'+rows)) + "x" + string(rune('0'+cols)) + w.name
	TEXT(name, NOSPLIT, "func(w *byte, wStride int, x *float32, xStride int, steps int, acc *float32)")
	Pragma("noescape")
	Doc(name + " adds the products of whole registers to the lanes of acc, which is {cols, rows, lanes}. Strides are in bytes; steps is not 0.")
	weights, stride := param("w"), param("wStride")
	wAt := rowAddresses(weights, stride, rows)
	var nextAt []Mem // with one vector the weights come from memory, as in dotQ8
	next := GP64()
	if cols == 1 {
		LEAQ(Mem{Base: weights, Index: stride, Scale: 4}, next)
		nextAt = rowAddresses(next, stride, rows)
	}
	x := param("x")
	xStride := param("xStride")
	xAt := rowAddresses(x, xStride, cols)
	steps, acc := param("steps"), param("acc")
	sums := make([]reg.VecVirtual, rows*cols)
	for i := range sums {
		sums[i] = w.vec()
		VMOVUPS(Mem{Base: acc, Disp: i * w.lanes * 4}, sums[i])
	}
	loop("next", steps, func() {
		xs := make([]reg.VecVirtual, cols)
		for c := range xs {
			xs[c] = w.vec()
			VMOVUPS(xAt[c], xs[c])
		}
		for r := range rows {
			v := w.vec()
			if cols == 1 {
				PREFETCHT0(nextAt[r])
			}
			f.load(wAt[r], v)
			for c := range cols {
				VFMADD231PS(xs[c], v, sums[c*rows+r])
			}
		}
		ADDQ(Imm(uint64(w.lanes*f.bytes)), weights)
		if cols == 1 {
			ADDQ(Imm(uint64(w.lanes*f.bytes)), next)
		}
		ADDQ(Imm(uint64(w.lanes*4)), x)
	})
	for i := range sums {
		VMOVUPS(sums[i], Mem{Base: acc, Disp: i * w.lanes * 4})
	}
	VZEROUPPER()
	RET()
}

// sumLanes returns the sum of the lanes in the lowest one: halves are added until four are left, then pairs.
func sumLanes(v reg.VecVirtual, lanes int) reg.VecVirtual {
	x := XMM()
	if lanes == 16 {
		high := YMM()
		VEXTRACTF64X4(Imm(1), v, high)
		VADDPS(high, v.AsY(), high)
		VEXTRACTF128(Imm(1), high, x)
		VADDPS(x, high.AsX(), x)
	} else {
		VEXTRACTF128(Imm(1), v, x)
		VADDPS(x, v.AsX(), x)
	}
	VHADDPS(x, x, x)
	VHADDPS(x, x, x)
	return x
}

func reduce(w width) {
	TEXT("reduce"+w.name, NOSPLIT, "func(acc *float32, n int, out *float32)")
	Pragma("noescape")
	Doc("reduce" + w.name + " sets out[i] to the sum of the i-th group of lanes of acc. n is not 0.")
	acc, n, out := param("acc"), param("n"), param("out")
	loop("next", n, func() {
		v := w.vec()
		VMOVUPS(Mem{Base: acc}, v)
		VMOVSS(sumLanes(v, w.lanes), Mem{Base: out})
		ADDQ(Imm(uint64(w.lanes*4)), acc)
		ADDQ(Imm(4), out)
	})
	VZEROUPPER()
	RET()
}

// dotQ8 multiplies rows of Q8_0 blocks with 16-bit activations.
func dotQ8() {
	for _, rows := range []int{4, 1} {
		name := "dotQ8x" + string(rune('0'+rows)) + "AVX2"
		TEXT(name, NOSPLIT, "func(w *byte, wStride int, q *int16, scale *float32, blocks int, acc *float32)")
		Pragma("noescape")
		Doc(name + " adds the products of blocks of 32 to the eight lanes of each row in acc. blocks is not 0.")
		weights, stride := param("w"), param("wStride")
		wAt := rowAddresses(weights, stride, rows)
		// What the next call reads follows in memory: fetching it while this one computes is what makes the kernel as fast as
		// memory. An address beyond the weights is harmless.
		next := GP64()
		LEAQ(Mem{Base: weights, Index: stride, Scale: 4}, next)
		nextAt := rowAddresses(next, stride, rows)
		q, scale, blocks, acc := param("q"), param("scale"), param("blocks"), param("acc")
		sums := make([]reg.VecVirtual, rows)
		for i := range sums {
			sums[i] = YMM()
			VMOVUPS(Mem{Base: acc, Disp: i * 32}, sums[i])
		}
		loop("next", blocks, func() {
			low, high, xScale := YMM(), YMM(), YMM()
			VMOVDQU(Mem{Base: q}, low)
			VMOVDQU(Mem{Base: q, Disp: 32}, high)
			VBROADCASTSS(Mem{Base: scale}, xScale)
			for r := range rows {
				v, other, s := YMM(), YMM(), YMM()
				PREFETCHT0(nextAt[r])
				VPMOVSXBW(wAt[r].Offset(2), v)
				VPMOVSXBW(wAt[r].Offset(18), other)
				VPMADDWD(low, v, v)
				VPMADDWD(high, other, other)
				VPADDD(other, v, v)
				VCVTDQ2PS(v, v)
				VPBROADCASTW(wAt[r], s.AsX())
				VCVTPH2PS(s.AsX(), s)
				VMULPS(xScale, s, s)
				VFMADD231PS(v, s, sums[r])
			}
			ADDQ(Imm(34), weights)
			ADDQ(Imm(34), next)
			ADDQ(Imm(64), q)
			ADDQ(Imm(4), scale)
		})
		for i := range sums {
			VMOVUPS(sums[i], Mem{Base: acc, Disp: i * 32})
		}
		VZEROUPPER()
		RET()
	}
}

// quantize turns activations into blocks of 32 16-bit integers with a scale.
func quantize() {
	const name = "quantizeAVX2"
	TEXT(name, NOSPLIT, "func(x *float32, blocks int, q *int16, scale *float32)")
	Pragma("noescape")
	Doc(name + " rounds blocks of 32 to multiples of a 32767th of the largest of each. blocks is not 0.")
	x, blocks, q, scale := param("x"), param("blocks"), param("q"), param("scale")
	mask, steps, least := YMM(), YMM(), YMM()
	VPCMPEQD(mask, mask, mask)
	VPSRLD(Imm(1), mask, mask)
	VBROADCASTSS(ConstData("steps", F32(32767)), steps)
	VBROADCASTSS(ConstData("least", F32(0x1p-100)), least)
	loop("next", blocks, func() {
		var v [4]reg.VecVirtual
		largest := YMM()
		for i := range v {
			v[i] = YMM()
			VMOVUPS(Mem{Base: x, Disp: 32 * i}, v[i])
			if i == 0 {
				VPAND(mask, v[i], largest)
				continue
			}
			magnitude := YMM()
			VPAND(mask, v[i], magnitude)
			// As integers, the bits of a NaN are larger than those of any number: the scale shows it.
			VPMAXUD(magnitude, largest, largest)
		}
		other, swapped := XMM(), XMM()
		VEXTRACTI128(Imm(1), largest, other)
		VPMAXUD(other, largest.AsX(), other)
		VPSHUFD(Imm(0x4e), other, swapped)
		VPMAXUD(swapped, other, other)
		VPSHUFD(Imm(0xb1), other, swapped)
		VPMAXUD(swapped, other, other)
		VPBROADCASTD(other, largest)
		inverse, keep := YMM(), YMM()
		VCMPPS(Imm(5), least, largest, keep) // not less than, so that a NaN is kept
		VDIVPS(largest, steps, inverse)
		VDIVPS(steps, largest, largest)
		VANDPS(keep, inverse, inverse)
		VANDPS(keep, largest, largest)
		VMOVSS(largest.AsX(), Mem{Base: scale})
		for i := range v {
			VMULPS(inverse, v[i], v[i])
			VCVTPS2DQ(v[i], v[i])
		}
		for i := 0; i < 4; i += 2 {
			VPACKSSDW(v[i+1], v[i], v[i])
			VPERMQ(Imm(0xd8), v[i], v[i])
			VMOVDQU(v[i], Mem{Base: q, Disp: 16 * i})
		}
		ADDQ(Imm(128), x)
		ADDQ(Imm(64), q)
		ADDQ(Imm(4), scale)
	})
	VZEROUPPER()
	RET()
}

func decode(f format) {
	name := "decode" + f.name + "AVX2"
	TEXT(name, NOSPLIT, "func(src *byte, steps int, dst *float32)")
	Pragma("noescape")
	Doc(name + " turns eight elements per step into float32. steps is not 0.")
	src, steps, dst := param("src"), param("steps"), param("dst")
	loop("next", steps, func() {
		v := YMM()
		f.load(Mem{Base: src}, v)
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(Imm(uint64(8*f.bytes)), src)
		ADDQ(Imm(32), dst)
	})
	VZEROUPPER()
	RET()
}

func decodeQ8() {
	TEXT("decodeQ8AVX2", NOSPLIT, "func(src *byte, blocks int, dst *float32)")
	Pragma("noescape")
	Doc("decodeQ8AVX2 turns Q8_0 blocks into float32. blocks is not 0.")
	src, blocks, dst := param("src"), param("blocks"), param("dst")
	loop("next", blocks, func() {
		scale := YMM()
		VPBROADCASTW(Mem{Base: src}, scale.AsX())
		VCVTPH2PS(scale.AsX(), scale)
		for i := range 4 {
			v := YMM()
			VPMOVSXBD(Mem{Base: src, Disp: 2 + 8*i}, v)
			VCVTDQ2PS(v, v)
			VMULPS(scale, v, v)
			VMOVUPS(v, Mem{Base: dst, Disp: 32 * i})
		}
		ADDQ(Imm(34), src)
		ADDQ(Imm(128), dst)
	})
	VZEROUPPER()
	RET()
}

// mix adds rows that are weighted.
func mix() {
	for _, vectors := range []int{8, 1} {
		name := "mixx" + string(rune('0'+vectors)) + "AVX2"
		TEXT(name, NOSPLIT, "func(weights *float32, n int, v *float32, stride int, out *float32)")
		Pragma("noescape")
		Doc(name + " sets 8 floats of out for each of its registers to the weighted sum of n rows, which lie stride bytes apart. n is not 0.")
		weights, n, v, stride, out := param("weights"), param("n"), param("v"), param("stride"), param("out")
		sums := make([]reg.VecVirtual, vectors)
		for i := range sums {
			sums[i] = YMM()
			VXORPS(sums[i], sums[i], sums[i])
		}
		loop("next", n, func() {
			weight := YMM()
			VBROADCASTSS(Mem{Base: weights}, weight)
			for i := range sums {
				VFMADD231PS(Mem{Base: v, Disp: 32 * i}, weight, sums[i])
			}
			ADDQ(Imm(4), weights)
			ADDQ(stride, v)
		})
		for i := range sums {
			VMOVUPS(sums[i], Mem{Base: out, Disp: 32 * i})
		}
		VZEROUPPER()
		RET()
	}
}

func largest() {
	TEXT("largestAVX2", NOSPLIT, "func(x *float32, steps int, lanes *float32)")
	Pragma("noescape")
	Doc("largestAVX2 sets lanes to the largest of every eighth value. A NaN may be passed over. steps is not 0.")
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	v := YMM()
	VMOVUPS(Mem{Base: x}, v)
	loop("next", steps, func() {
		VMAXPS(Mem{Base: x}, v, v)
		ADDQ(Imm(32), x)
	})
	VMOVUPS(v, Mem{Base: lanes})
	VZEROUPPER()
	RET()
}

var constants = map[string]Mem{}

// constant returns a register full of value, which the file holds once under the name.
func constant(name string, value float32) reg.VecVirtual {
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, F32(value))
	}
	v := YMM()
	VBROADCASTSS(constants[name], v)
	return v
}

// exp replaces x by its exponential, accurate to about 2 units in the last place between -87.3 and 88.3; what is outside is
// taken as the nearer of these, and NaN stays NaN.
//
// With n the integer nearest to x/ln 2, it is 2^n times the exponential of the small rest, for which eight terms of the series do.
func exp(x reg.VecVirtual) {
	// Of two operands with a NaN the second is the result, which is x.
	VMAXPS(x, constant("expLeast", -87.3), x)
	VMINPS(x, constant("expMost", 88.3), x)
	n, whole := YMM(), YMM()
	VMULPS(constant("log2E", 1.44269504), x, n)
	VCVTPS2DQ(n, whole)
	VCVTDQ2PS(whole, n)
	VFNMADD231PS(constant("ln2High", 0.693359375), n, x)
	VFNMADD231PS(constant("ln2Low", -2.12194440e-4), n, x)
	sum := constant("term7", 1.0/5040)
	for _, t := range []struct {
		name  string
		value float32
	}{{"term6", 1.0 / 720}, {"term5", 1.0 / 120}, {"term4", 1.0 / 24}, {"term3", 1.0 / 6}, {"term2", 0.5}, {"term1", 1}, {"term0", 1}} {
		VFMADD213PS(constant(t.name, t.value), x, sum)
	}
	// The bits of 1 are those of 2^0: adding n to the exponent makes 2^n.
	VPSLLD(Imm(23), whole, whole)
	VPADDD(constant("term0", 1), whole, whole)
	VMULPS(whole, sum, x)
}

func exponentials() {
	TEXT("expAVX2", NOSPLIT, "func(x *float32, steps int, shift float32, lanes *float32)")
	Pragma("noescape")
	Doc("expAVX2 sets each x to the exponential of x - shift and lanes to the sums of every eighth. steps is not 0.")
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	shift, sums := YMM(), YMM()
	shiftAt, err := Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(shiftAt.Addr, shift)
	VXORPS(sums, sums, sums)
	loop("next", steps, func() {
		v := YMM()
		VMOVUPS(Mem{Base: x}, v)
		VSUBPS(shift, v, v)
		exp(v)
		VADDPS(v, sums, sums)
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(32), x)
	})
	VMOVUPS(sums, Mem{Base: lanes})
	VZEROUPPER()
	RET()

	TEXT("swigluAVX2", NOSPLIT, "func(gate *float32, up *float32, steps int)")
	Pragma("noescape")
	Doc("swigluAVX2 sets gate to silu(gate) * up. steps is not 0.")
	gate, up, steps := param("gate"), param("up"), param("steps")
	sign, one := YMM(), constant("term0", 1)
	VPCMPEQD(sign, sign, sign)
	VPSLLD(Imm(31), sign, sign)
	loop("next", steps, func() {
		g, v := YMM(), YMM()
		VMOVUPS(Mem{Base: gate}, g)
		VXORPS(sign, g, v)
		exp(v)
		VADDPS(one, v, v)
		VDIVPS(v, g, v)
		VMULPS(Mem{Base: up}, v, v)
		VMOVUPS(v, Mem{Base: gate})
		ADDQ(Imm(32), gate)
		ADDQ(Imm(32), up)
	})
	VZEROUPPER()
	RET()
}
