package tensor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
)

// randomBlocks returns 256 blocks of the type whose bytes are random, the same in every run.
func randomBlocks(typ Type) []byte {
	_, size := typ.Block()
	r := rand.New(rand.NewPCG(uint64(size), uint64(layouts[typ].elements)))
	b := make([]byte, 256*size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func decodeBlocks(t testing.TB, typ Type, b []byte) []float32 {
	t.Helper()
	elements, size := typ.Block()
	x := make([]float32, len(b)/size*elements)
	if err := Decode(typ, x, b); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestDecodeIsBitExact compares 256 blocks of random bytes, among them scales that are infinite, not a number and denormal,
// with what ggml's reference decoders make of them. testdata/decode.json has the SHA-256 of those results as little-endian float32,
// every NaN written as 0x7fc00000.
func TestDecodeIsBitExact(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/decode.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for typ := Invalid + 1; typ < typeCount; typ++ {
		if !typ.Quantized() || !typ.Decodable() {
			continue
		}
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			var b []byte
			for _, v := range decodeBlocks(t, typ, randomBlocks(typ)) {
				bits := math.Float32bits(v)
				if v != v {
					bits = 0x7fc00000
				}
				b = binary.LittleEndian.AppendUint32(b, bits)
			}
			sum := sha256.Sum256(b)
			if got := hex.EncodeToString(sum[:]); got != want[typ.String()] {
				t.Errorf("got %s, want %q", got, want[typ.String()])
			}
		})
	}
}

func TestDecodePlainTypes(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	le := binary.LittleEndian
	for _, c := range []struct {
		typ  Type
		src  []byte
		want []float32
	}{
		{F64, le.AppendUint64(le.AppendUint64(nil, math.Float64bits(1+0x1p-24+0x1p-50)), math.Float64bits(1e300)), []float32{1 + 0x1p-23, inf}},
		{F32, le.AppendUint32(nil, math.Float32bits(-2.5)), []float32{-2.5}},
		{F16, []byte{0x01, 0x00, 0x00, 0xfc}, []float32{0x1p-24, -inf}},
		{BF16, []byte{0x80, 0x3f, 0x80, 0x7f}, []float32{1, inf}},
		{F8E4M3, []byte{0x00, 0x01, 0x08, 0x38, 0x7e, 0x7f, 0xb9, 0xff}, []float32{0, 0x1p-9, 0x1p-6, 1, 448, nan, -1.125, nan}},
		{F8E5M2, []byte{0x01, 0x04, 0x3c, 0x7b, 0x7c, 0xfc, 0x7d, 0xbd}, []float32{0x1p-16, 0x1p-14, 1, 57344, inf, -inf, nan, -1.25}},
		{F8E4M3FNUZ, []byte{0x01, 0x40, 0x7f, 0x80, 0xff}, []float32{0x1p-10, 1, 240, nan, -240}},
		{F8E5M2FNUZ, []byte{0x01, 0x40, 0x7f, 0x80}, []float32{0x1p-17, 1, 57344, nan}},
		{F8E8M0, []byte{0, 127, 254, 255}, []float32{0x1p-127, 1, 0x1p127, nan}},
		{Bool, []byte{0, 1}, []float32{0, 1}},
		{U8, []byte{255}, []float32{255}},
		{I8, []byte{255, 127}, []float32{-1, 127}},
		{U16, []byte{255, 255}, []float32{65535}},
		{I16, []byte{0, 128}, []float32{-32768}},
		{U32, []byte{255, 255, 255, 255}, []float32{0x1p32}},
		{I32, []byte{0, 0, 0, 128}, []float32{-0x1p31}},
		{U64, le.AppendUint64(nil, math.MaxUint64), []float32{0x1p64}},
		{I64, le.AppendUint64(nil, 1<<63), []float32{-0x1p63}},
	} {
		got := make([]float32, len(c.want))
		if err := Decode(c.typ, got, c.src); err != nil {
			t.Error(err)
			continue
		}
		for i, w := range c.want {
			if got[i] != w && (w == w || got[i] == got[i]) {
				t.Errorf("%s: element %d is %v, want %v", c.typ, i, got[i], w)
			}
		}
	}
}

func TestWhatRuns(t *testing.T) {
	t.Parallel()
	var unsupported *fault.Unsupported
	for _, typ := range []Type{Invalid, F6E2M3, F6E3M2, F4, C64, C128, I4, U2, Q8_1, typeCount} {
		if err := Decode(typ, nil, nil); typ.Decodable() || typ.Runnable() || !errors.As(err, &unsupported) {
			t.Errorf("%s: decodable %v, runnable %v, %v", typ, typ.Decodable(), typ.Runnable(), err)
		}
	}
	for _, typ := range []Type{I8, I32, U64, Bool, F8E8M0} {
		if !typ.Decodable() || typ.Runnable() {
			t.Errorf("%s: decodable %v, runnable %v", typ, typ.Decodable(), typ.Runnable())
		}
	}
	for typ := F64; typ < typeCount; typ++ {
		if !typ.Decodable() {
			continue
		}
		elements, size := typ.Block()
		x, b := make([]float32, 2*elements), make([]byte, 2*size)
		for name, err := range map[string]error{
			"a short source": Decode(typ, x, b[1:]), "a long source": Decode(typ, x[elements:], b), "no source": Decode(typ, x, nil),
		} {
			if err == nil {
				t.Errorf("%s: %s was accepted", typ, name)
			}
		}
		if elements > 1 && Decode(typ, x[1:], b) == nil {
			t.Errorf("%s: a part of a block was accepted", typ)
		}
	}
}

func TestDecodingAllocatesNothing(t *testing.T) {
	// Not parallel: it counts the allocations of the whole process.
	for typ := F64; typ < typeCount; typ++ {
		if !typ.Decodable() {
			continue
		}
		elements, size := typ.Block()
		x, b := make([]float32, 2*elements), make([]byte, 2*size)
		var err error
		if n := testing.AllocsPerRun(10, func() { err = Decode(typ, x, b) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", typ, n, err)
		}
	}
}

// FuzzDecode hands bytes of any length to every decoder, through Decode and directly: none may panic, write beyond the elements
// for which there are bytes, or depend on what follows a block.
func FuzzDecode(f *testing.F) {
	for typ := F64; typ < typeCount; typ++ {
		_, size := typ.Block()
		f.Add(byte(typ), randomBlocks(typ)[:2*size+1], uint16(300))
	}
	f.Add(byte(Q4K), []byte{}, uint16(0))
	f.Add(byte(0), []byte{1}, uint16(1))
	f.Fuzz(func(t *testing.T, number byte, src []byte, n uint16) {
		typ := Type(number)
		x := make([]float32, n)
		err := Decode(typ, x, src)
		size, ok := typ.Size(int64(n))
		if fits := typ.Decodable() && ok && size == int64(len(src)); fits != (err == nil) {
			t.Fatalf("%s: %d elements of %d bytes: %v", typ, n, len(src), err)
		}
		if !typ.Decodable() {
			return
		}
		elements, bytes := typ.Block()
		blocks := min(len(x)/elements, len(src)/bytes)
		const untouched = 12345
		for i := range x {
			x[i] = untouched
		}
		decoders[typ](x, src)
		for i, v := range x[blocks*elements:] {
			if v != untouched {
				t.Fatalf("%s: element %d lies beyond %d blocks and was written", typ, i, blocks)
			}
		}
		if blocks > 0 {
			one := make([]float32, elements)
			decoders[typ](one, src[:bytes])
			for i, v := range one {
				if math.Float32bits(v) != math.Float32bits(x[i]) {
					t.Fatalf("%s: element %d of a block depends on what follows", typ, i)
				}
			}
		}
	})
}
