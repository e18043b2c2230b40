package tensor

import (
	"math"
	"testing"
)

func TestHalfRoundTripsEveryPattern(t *testing.T) {
	t.Parallel()
	for i := range 1 << 16 {
		h := uint16(i)
		f := HalfTable()[h]
		if h&0x7c00 == 0x7c00 && h&0x3ff != 0 {
			if f == f {
				t.Fatalf("%#04x: want NaN, got %v", h, f)
			}
			continue
		}
		if got := HalfFromFloat(f); got != h {
			t.Fatalf("%#04x -> %v -> %#04x", h, f, got)
		}
		if h&0x7c00 != 0x7c00 {
			exp, man := int(h>>10&31), float64(h&0x3ff)
			want := math.Ldexp(man, -24)
			if exp > 0 {
				want = math.Ldexp(1024+man, exp-25)
			}
			if h&0x8000 != 0 {
				want = -want
			}
			if float64(f) != want {
				t.Fatalf("%#04x: got %v, want %v", h, f, want)
			}
		}
	}
}

func TestHalfRounding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   float32
		want uint16
	}{
		{1 + 0x1p-11, 0x3c00}, // a tie goes to the even mantissa
		{1 + 3*0x1p-11, 0x3c02},
		{65519, 0x7bff},
		{65520, 0x7c00},
		{float32(math.Inf(-1)), 0xfc00},
		{0x1p-25, 0},
		{0x1.8p-25, 1},
		{-0x1p-14, 0x8400},
	} {
		if got := HalfFromFloat(c.in); got != c.want {
			t.Errorf("HalfFromFloat(%v) = %#04x, want %#04x", c.in, got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ  Type
		n    int64
		want int64
		ok   bool
	}{
		{F32, 3, 12, true},
		{Q4K, 512, 288, true},
		{Q4K, 100, 0, false},
		{Q8_0, 64, 68, true},
		{F4, 3, 0, false},
		{F6E2M3, 8, 6, true},
		{F64, math.MaxInt64, 0, false},
		{Invalid, 1, 0, false},
		{F32, -1, 0, false},
	} {
		if got, ok := c.typ.Size(c.n); got != c.want || ok != c.ok {
			t.Errorf("%s.Size(%d) = %d, %v; want %d, %v", c.typ, c.n, got, ok, c.want, c.ok)
		}
	}
	if _, ok := Elements([]int{1 << 48, 1 << 48}); ok {
		t.Error("a product beyond 64 bits was accepted")
	}
	if n, ok := Elements(nil); n != 1 || !ok {
		t.Error("a scalar has one element")
	}
}

func TestEveryTypeHasALayoutAndGGMLNumbersRoundTrip(t *testing.T) {
	t.Parallel()
	for typ := Invalid + 1; typ < typeCount; typ++ {
		if e, b := typ.Block(); e <= 0 || b <= 0 || typ.String() == "" {
			t.Errorf("type %d has no layout", typ)
		}
		if id, ok := typ.GGML(); ok && FromGGML(id) != typ {
			t.Errorf("%s: number %d comes back as %s", typ, id, FromGGML(id))
		} else if typ.Quantized() && !ok {
			t.Errorf("%s has no ggml number", typ)
		}
	}
}

func TestQ8RoundTrip(t *testing.T) {
	t.Parallel()
	x := make([]float32, 64)
	for i := range x {
		x[i] = float32(math.Sin(float64(i))) * 3
	}
	b := make([]byte, 68)
	if err := QuantizeQ8(b, x); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, 64)
	if err := Decode(Q8_0, y, b); err != nil {
		t.Fatal(err)
	}
	for i := range x {
		if d := math.Abs(float64(x[i] - y[i])); d > 3.0/127 {
			t.Errorf("element %d: %v became %v", i, x[i], y[i])
		}
	}
	if err := Decode(Q8_0, y, b[:60]); err == nil {
		t.Error("a short source was accepted")
	}
}

// TestBlocksAgreeWithGGML compares with the table of types that ggml itself prints: number, name, elements and bytes of a block.
func TestBlocksAgreeWithGGML(t *testing.T) {
	t.Parallel()
	known := 0
	for _, c := range []struct {
		id              uint32
		name            string
		elements, bytes int
	}{
		{0, "F32", 1, 4},
		{1, "F16", 1, 2},
		{2, "Q4_0", 32, 18},
		{3, "Q4_1", 32, 20},
		{6, "Q5_0", 32, 22},
		{7, "Q5_1", 32, 24},
		{8, "Q8_0", 32, 34},
		{9, "Q8_1", 32, 36},
		{10, "Q2_K", 256, 84},
		{11, "Q3_K", 256, 110},
		{12, "Q4_K", 256, 144},
		{13, "Q5_K", 256, 176},
		{14, "Q6_K", 256, 210},
		{15, "Q8_K", 256, 292},
		{16, "IQ2_XXS", 256, 66},
		{17, "IQ2_XS", 256, 74},
		{18, "IQ3_XXS", 256, 98},
		{19, "IQ1_S", 256, 50},
		{20, "IQ4_NL", 32, 18},
		{21, "IQ3_S", 256, 110},
		{22, "IQ2_S", 256, 82},
		{23, "IQ4_XS", 256, 136},
		{24, "I8", 1, 1},
		{25, "I16", 1, 2},
		{26, "I32", 1, 4},
		{27, "I64", 1, 8},
		{28, "F64", 1, 8},
		{29, "IQ1_M", 256, 56},
		{30, "BF16", 1, 2},
		{34, "TQ1_0", 256, 54},
		{35, "TQ2_0", 256, 66},
		{39, "MXFP4", 32, 17},
		{40, "NVFP4", 64, 36},
		{41, "Q1_0", 128, 18},
		{42, "Q2_0", 64, 18},
	} {
		typ := FromGGML(c.id)
		if elements, bytes := typ.Block(); typ.String() != c.name || elements != c.elements || bytes != c.bytes {
			t.Errorf("%d: %s has %d elements in %d bytes, want %s with %d in %d", c.id, typ, elements, bytes, c.name, c.elements, c.bytes)
		}
		known++
	}
	for id := range uint32(256) {
		if FromGGML(id) != Invalid {
			known--
		}
	}
	if known != 0 {
		t.Errorf("%d numbers are in one table only", known)
	}
}
