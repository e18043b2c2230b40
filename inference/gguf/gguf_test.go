package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/readtest"
	"github.com/carat-hub/carat/inference/tensor"
)

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func TestReadTinyLlama(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../testdata/tiny-llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Version != 3 || len(f.Keys) != 24 || len(f.Tensors) != 38 || f.Quantization() != "Q8_0" {
		t.Errorf("version %d, %d keys, %d tensors, %s", f.Version, len(f.Keys), len(f.Tensors), f.Quantization())
	}
	if d := cmp.Diff(Tensor{Name: "token_embd.weight", Type: tensor.Q8_0, Shape: []int{2048, 256}, Offset: 63744, Size: 557056}, f.Tensors[1]); d != "" {
		t.Error(d)
	}
	if f.Text("general.architecture", "") != "llama" || f.Int("llama.block_count", 0) != 4 ||
		f.Float("llama.rope.freq_base", 0) != 10000 || !f.Bool("tokenizer.ggml.add_bos_token", false) {
		t.Error("typed access gives wrong values")
	}
	if f.Int("general.architecture", 7) != 7 || f.Text("llama.block_count", "x") != "x" || f.Bool("no such key", true) != true {
		t.Error("a missing or differently typed key must give the default")
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil || len(tokens) != 2048 || tokens[0] != "<|endoftext|>" {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	kinds, err := f.Ints("tokenizer.ggml.token_type")
	if err != nil || len(kinds) != 2048 || kinds[0] != 3 {
		t.Errorf("%d token types, %v", len(kinds), err)
	}
	var bad *fault.Malformed
	if _, err := f.Strings("tokenizer.ggml.token_type"); !errors.As(err, &bad) {
		t.Errorf("integers read as strings: %v", err)
	}
	if _, err := f.Floats("missing"); !errors.As(err, &bad) {
		t.Errorf("missing key: %v", err)
	}
}

func TestWriterRoundTrip(t *testing.T) {
	t.Parallel()
	var w Writer
	w.Set("a.string", "näme")
	w.Set("a.bool", true)
	w.Set("a.negative", int32(-5))
	w.Set("a.large", uint64(math.MaxUint64))
	w.Set("a.float", float32(0.5))
	w.Set("a.strings", []string{"x", "", "yz"})
	w.Set("a.floats", []float32{1, -2})
	w.Add("m", tensor.F16, []int{2, 3}, make([]byte, 12))
	w.Add("v", tensor.F32, []int{5}, make([]byte, 20))
	var out bytes.Buffer
	if err := w.Write(&out); err != nil {
		t.Fatal(err)
	}
	f, err := read(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if f.Text("a.string", "") != "näme" || !f.Bool("a.bool", false) || f.Int("a.negative", 0) != -5 ||
		f.Int("a.large", 9) != 9 || f.Float("a.float", 0) != 0.5 || f.Float("a.negative", 0) != -5 {
		t.Error("values changed")
	}
	strs, err := f.Strings("a.strings")
	if d := cmp.Diff([]string{"x", "", "yz"}, strs); d != "" || err != nil {
		t.Error(d, err)
	}
	floats, err := f.Floats("a.floats")
	if d := cmp.Diff([]float64{1, -2}, floats); d != "" || err != nil {
		t.Error(d, err)
	}
	if len(f.Tensors) != 2 || f.Tensors[0].Shape[0] != 2 || f.Tensors[1].Offset-f.Tensors[0].Offset != 32 {
		t.Errorf("tensors %+v", f.Tensors)
	}
	w.Add("short", tensor.F32, []int{2}, make([]byte, 4))
	if err := w.Write(io.Discard); err == nil {
		t.Error("a tensor with too few bytes was written")
	}
}

func TestQuantizationTrustsTensorsMoreThanTheClaim(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claim uint32
		typ   tensor.Type
		want  string
	}{{15, tensor.Q4K, "Q4_K_M"}, {15, tensor.F16, "F16"}, {999, tensor.Q6K, "Q6_K"}, {27, tensor.IQ3S, "IQ3_M"}, {32, tensor.BF16, "BF16"}} {
		var w Writer
		w.Set("general.file_type", c.claim)
		n, _ := c.typ.Size(256)
		w.Add("t", c.typ, []int{256}, make([]byte, n))
		var out bytes.Buffer
		if err := w.Write(&out); err != nil {
			t.Fatal(err)
		}
		f, err := read(out.Bytes())
		if err != nil || f.Quantization() != c.want {
			t.Errorf("claim %d of %s: got %q, %v; want %q", c.claim, c.typ, f.Quantization(), err, c.want)
		}
	}
}

// bld builds files field by field, so that each field can lie.
type bld []byte

func head(tensors, keys uint64) bld    { return bld("GGUF").u32(3).u64(tensors).u64(keys) }
func (b bld) u32(n uint32) bld         { return binary.LittleEndian.AppendUint32(b, n) }
func (b bld) u64(n uint64) bld         { return binary.LittleEndian.AppendUint64(b, n) }
func (b bld) str(s string) bld         { return append(b.u64(uint64(len(s))), s...) }
func (b bld) key(s string, k Kind) bld { return b.str(s).u32(uint32(k)) }
func (b bld) zeros(n int) bld          { return append(b, make([]byte, n)...) }

func (b bld) info(name string, typ uint32, offset uint64, dims ...uint64) bld {
	b = b.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b = b.u64(d)
	}
	return b.u32(typ).u64(offset)
}

func hostile() map[string]bld {
	return map[string]bld{
		"empty":                     {},
		"magic only":                bld("GGUF"),
		"other magic":               bld("GGML").u32(3).zeros(64),
		"huge metadata count":       head(0, 1<<60).zeros(200),
		"huge tensor count":         head(1<<60, 0).zeros(200),
		"huge key length":           head(0, 1).u64(1 << 40).zeros(200),
		"key length of 64 bits":     head(0, 1).u64(math.MaxUint64).zeros(200),
		"key over its limit":        head(0, 1).str(strings.Repeat("k", MaxKey+1)).u32(0).zeros(64),
		"empty key":                 head(0, 1).key("", Uint8).zeros(64),
		"huge string length":        head(0, 1).key("k", String).u64(1 << 50).zeros(200),
		"huge array length":         head(0, 1).key("k", Array).u32(uint32(Uint8)).u64(1 << 50).zeros(200),
		"huge string array":         head(0, 1).key("k", Array).u32(uint32(String)).u64(1 << 30).zeros(1 << 12),
		"string in an array":        head(0, 1).key("k", Array).u32(uint32(String)).u64(2).u64(1 << 40).zeros(200),
		"array over its limit":      head(0, 1).key("k", Array).u32(uint32(Uint8)).u64(MaxArray + 1).zeros(MaxArray + 64),
		"wrapping array size":       head(0, 1).key("k", Array).u32(uint32(Float64)).u64(1 << 61).zeros(200),
		"nested arrays":             head(0, 1).key("k", Array).u32(uint32(Array)).u64(1).u32(uint32(Array)).u64(1).zeros(200),
		"unknown value type":        head(0, 1).key("k", 13).zeros(200),
		"unknown element type":      head(0, 1).key("k", Array).u32(99).u64(1).zeros(200),
		"boolean of two":            append(head(0, 1).key("k", Bool), 2),
		"value cut off":             head(0, 1).key("k", Uint64).zeros(3),
		"duplicate key":             head(0, 2).key("k", Uint8).zeros(1).key("k", Uint8).zeros(1),
		"alignment zero":            head(0, 1).key("general.alignment", Uint32).u32(0),
		"alignment 24":              head(0, 1).key("general.alignment", Uint32).u32(24),
		"alignment 2^31":            head(0, 1).key("general.alignment", Uint32).u32(1 << 31),
		"alignment a string":        head(0, 1).key("general.alignment", String).str("32").zeros(8),
		"2^30 dimensions":           head(1, 0).str("t").u32(1 << 30).zeros(200),
		"five dimensions":           head(1, 0).info("t", 0, 0, 1, 1, 1, 1, 1).zeros(64),
		"product wraps to zero":     head(1, 0).info("t", 0, 0, 1<<48, 1<<48, 1<<48, 1<<48).zeros(64),
		"dimension of 64 bits":      head(1, 0).info("t", 0, 0, math.MaxUint64).zeros(64),
		"byte size wraps":           head(1, 0).info("t", 28, 0, 1<<61).zeros(64),
		"offset past the file":      head(1, 0).info("t", 0, 1<<40, 4).zeros(64),
		"offset of 64 bits":         head(1, 0).info("t", 0, math.MaxUint64-31, 4).zeros(64),
		"offset not aligned":        head(1, 0).info("t", 0, 4, 4).zeros(64),
		"data past the file":        head(1, 0).info("t", 0, 0, 1000).zeros(64),
		"unknown tensor type":       head(1, 0).info("t", 9999, 0, 4).zeros(64),
		"withdrawn tensor type":     head(1, 0).info("t", 4, 0, 32).zeros(64),
		"rows no multiple of block": head(1, 0).info("t", 8, 0, 33).zeros(128),
		"duplicate tensor":          head(2, 0).info("t", 0, 0, 4).info("t", 0, 32, 4).zeros(128),
		"overlapping tensors":       head(2, 0).info("a", 0, 0, 16).info("b", 0, 32, 4).zeros(128),
		"zero dimension, no name":   head(1, 0).info("", 0, 0, 0).zeros(64),
		"long tensor name":          head(1, 0).info(strings.Repeat("n", MaxName+1), 0, 0, 1).zeros(64),
		"too many keys":             head(0, MaxKeys+1).zeros(14 * (MaxKeys + 2)),
		"too many tensors":          head(MaxTensors+1, 0).zeros(33 * (MaxTensors + 2)),
	}
}

func TestHostileFiles(t *testing.T) {
	readtest.Hostile(t, hostile(), 1<<20, func(b []byte) error {
		_, err := read(b)
		return err
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, ok := range map[uint32]bool{1: false, 2: true, 3: true, 4: false, 3 << 24: false} {
		_, err := read(bld("GGUF").u32(version).zeros(16))
		var unsupported *fault.Unsupported
		if ok && err != nil || !ok && !errors.As(err, &unsupported) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func TestReadErrorsAreReturned(t *testing.T) {
	t.Parallel()
	b := head(0, 1).key("k", String).str("text")
	if _, err := Read(bytes.NewReader(b[:30]), int64(len(b))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func FuzzGGUF(f *testing.F) {
	for _, b := range hostile() {
		if len(b) < 4096 {
			f.Add([]byte(b))
		}
	}
	var w Writer
	w.Set("general.architecture", "llama")
	w.Set("tokens", []string{"a", "b"})
	w.Set("scores", []float32{1, 2})
	w.Add("t", tensor.Q8_0, []int{1, 32}, make([]byte, 34))
	var out bytes.Buffer
	if err := w.Write(&out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := read(b)
		if err != nil {
			return
		}
		g.Quantization()
		for _, ts := range g.Tensors {
			if ts.Offset < 0 || ts.Size < 0 || ts.Offset+ts.Size > int64(len(b)) {
				t.Fatalf("tensor outside the file: %+v", ts)
			}
		}
		for _, k := range g.Keys {
			if v, _ := g.Value(k); v.Kind == Array {
				strs, errStrings := g.Strings(k)
				ints, errInts := g.Ints(k)
				if errStrings == nil && errInts == nil {
					t.Fatalf("array %q is both %v and %v", k, strs, ints)
				}
			}
		}
	})
}
