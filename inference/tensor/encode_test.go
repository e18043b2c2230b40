package tensor

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
)

// encoded returns x as typ and what that decodes to.
func encoded(t testing.TB, typ Type, x []float32) (b []byte, y []float32) {
	t.Helper()
	size, ok := typ.Size(int64(len(x)))
	if !ok {
		t.Fatalf("%d elements of %s", len(x), typ)
	}
	b = make([]byte, size)
	if err := Encode(typ, b, x); err != nil {
		t.Fatal(err)
	}
	return b, decodeBlocks(t, typ, b)
}

func rootMeanSquare(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(x)))
}

func difference(x, y []float32) []float32 {
	d := make([]float32, len(x))
	for i := range x {
		d[i] = x[i] - y[i]
	}
	return d
}

// TestEncodingError holds the error of normally and exponentially distributed values, relative to their root mean square, to what ggml's
// reference leaves of the same values; where the scales are searched for, to less.
func TestEncodingError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ                 Type
		normal, exponential float64
	}{
		{F16, 0x1p-11, 0x1p-11},
		{BF16, 0x1p-8, 0x1p-8},
		{Q8_0, 0.0055, 0.0069},
		{Q4_0, 0.0825, 0.104},
		{Q4K, 0.0710, 0.0840},
		{Q6K, 0.0172, 0.0212},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(5, 6))
			for name, want := range map[string]float64{"normal": c.normal, "exponential": c.exponential} {
				for _, unit := range []float64{1e-3, 1, 1e3} {
					x := make([]float32, 32*256)
					for i := range x {
						v := r.NormFloat64()
						if name == "exponential" {
							v = math.Copysign(r.ExpFloat64(), v)
						}
						x[i] = float32(v * unit)
					}
					_, y := encoded(t, c.typ, x)
					if got := rootMeanSquare(difference(x, y)) / rootMeanSquare(x); !(got <= want) {
						t.Errorf("%s values of %g: error %.4f, want at most %.4f", name, unit, got, want)
					}
				}
			}
		})
	}
}

// TestEncodingBounds encodes blocks of unusual values: no element may be off by more than a share of the spread of its sub-block.
func TestEncodingBounds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	fill := func(f func(i int) float64) []float32 {
		x := make([]float32, 256)
		for i := range x {
			x[i] = float32(f(i))
		}
		return x
	}
	blocks := map[string][]float32{
		"zeros":         fill(func(int) float64 { return 0 }),
		"ones":          fill(func(int) float64 { return 1 }),
		"negative ones": fill(func(int) float64 { return -1 }),
		"an outlier":    fill(func(i int) float64 { return map[int]float64{77: 1000}[i] }),
		"positive":      fill(func(int) float64 { return 5 + r.Float64() }),
		"negative":      fill(func(int) float64 { return -5 - r.Float64() }),
		"two values":    fill(func(i int) float64 { return float64(i&1)*2 - 1 }),
		"denormal":      fill(func(int) float64 { return r.Float64() * 1e-44 }),
		"small":         fill(func(int) float64 { return r.NormFloat64() * 1e-6 }),
		"large":         fill(func(int) float64 { return r.NormFloat64() * 1e4 }),
		"growing":       fill(func(i int) float64 { return math.Pow(1.05, float64(i)) }),
		"many scales":   fill(func(i int) float64 { return r.NormFloat64() * math.Pow(2, float64(i/16)) }),
	}
	for _, c := range []struct {
		typ   Type
		sub   int     // elements that share a scale
		share float64 // of the spread, zero included, in the sub-block
		block float64 // of the spread in the block: what rounding the sub-block's scale and minimum adds
	}{
		{Q8_0, 32, 0.57 / 127, 0}, // half a step, and the rounding of the scale
		{Q4_0, 32, 0.14, 0},
		{Q4K, 32, 0.08, 0.02},
		{Q6K, 16, 0.03, 0.005},
	} {
		for name, x := range blocks {
			_, y := encoded(t, c.typ, x)
			whole := spread(x)
			for i := 0; i < len(x); i += c.sub {
				// Scales below half precision's steps of 2^-24 are rounded to those.
				bound := c.share*spread(x[i:i+c.sub]) + c.block*whole + 128*0x1p-24
				for j, d := range difference(x[i:i+c.sub], y[i:i+c.sub]) {
					if !(math.Abs(float64(d)) <= bound) {
						t.Errorf("%s, %s: element %d, %v, became %v; the bound is %.3g", c.typ, name, i+j, x[i+j], y[i+j], bound)
					}
				}
			}
		}
	}
}

// spread returns the distance between the least and the largest of x and 0.
func spread(x []float32) float64 {
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	return float64(hi) - float64(lo)
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for _, typ := range []Type{Q8_0, Q4_0, Q4K, Q6K} {
		size, _ := typ.Size(256)
		b := make([]byte, size)
		for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -1e20} {
			x := make([]float32, 256)
			x[200] = v
			if err := Encode(typ, b, x); err == nil {
				t.Errorf("%s: %v was accepted", typ, v)
			}
		}
		if Encode(typ, b, make([]float32, 255)) == nil || Encode(typ, b[1:], make([]float32, 256)) == nil {
			t.Errorf("%s: lengths that do not agree were accepted", typ)
		}
	}
	var unsupported *fault.Unsupported
	if err := Encode(IQ2S, nil, nil); !errors.As(err, &unsupported) {
		t.Errorf("IQ2_S: %v", err)
	}
}

func TestEncodePlainTypes(t *testing.T) {
	t.Parallel()
	for typ, want := range map[Type][]byte{
		F32:  {0, 0, 0x80, 0x3f, 0, 0x80, 0x80, 0x3f, 0, 0x80, 0x81, 0x3f},
		F16:  {0, 0x3c, 0x04, 0x3c, 0x0c, 0x3c},
		BF16: {0x80, 0x3f, 0x80, 0x3f, 0x82, 0x3f}, // ties go to the even neighbour
	} {
		if b, _ := encoded(t, typ, []float32{1, 1 + 0x1p-8, 1 + 3*0x1p-8}); !bytes.Equal(b, want) {
			t.Errorf("%s: % x, want % x", typ, b, want)
		}
	}
	if b, _ := encoded(t, BF16, []float32{math.Float32frombits(0x7f800001), float32(math.Inf(-1))}); !bytes.Equal(b, []byte{0xc0, 0x7f, 0x80, 0xff}) {
		t.Errorf("BF16 of NaN and -Inf: % x", b)
	}
}

// FuzzEncode encodes any float32 values: what is accepted decodes to finite values.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63})
	f.Add([]byte{1, 0, 0, 0, 255, 255, 127, 127})
	f.Add([]byte{0, 0, 0, 71, 0, 0, 0, 199})
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := make([]float32, 256)
		decodeF32(x, raw)
		for i := range x {
			if n := len(raw) / 4; n > 0 {
				x[i] = x[i%n]
			}
		}
		for typ := F64; typ < typeCount; typ++ {
			if !typ.Encodable() || !typ.Quantized() {
				continue
			}
			size, _ := typ.Size(256)
			b, y := make([]byte, size), make([]float32, 256)
			if Encode(typ, b, x) != nil {
				continue
			}
			if err := Decode(typ, y, b); err != nil {
				t.Fatal(err)
			}
			for i, v := range y {
				if v-v != 0 {
					t.Fatalf("%s: element %d, %v, became %v", typ, i, x[i], v)
				}
			}
		}
	})
}
