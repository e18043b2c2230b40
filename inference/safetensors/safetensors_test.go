package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/internal/readtest"
	"github.com/carat-hub/carat/inference/tensor"
)

// file puts a header and data bytes together as the format wants them.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func TestRead(t *testing.T) {
	t.Parallel()
	header := `{"__metadata__":{"format":"pt","n\u00e9\ud83d\ude00":"\"\n"},` +
		`"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},` +
		`"a" : {"data_offsets":[0,4],"shape":[ ],"dtype":"F32"},` +
		`"empty":{"dtype":"F32","shape":[0,5],"data_offsets":[16,16]}}   `
	got, err := read(file(header, 12+4))
	if err != nil {
		t.Fatal(err)
	}
	start := int64(8 + len(header))
	want := &File{
		Metadata: map[string]string{"format": "pt", "né😀": "\"\n"},
		Tensors: []Tensor{
			{Name: "a", Type: tensor.F32, Offset: start, Size: 4},
			{Name: "b", Type: tensor.BF16, Shape: []int{2, 3}, Offset: start + 4, Size: 12},
			{Name: "empty", Type: tensor.F32, Shape: []int{0, 5}, Offset: start + 16},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadTinyLlamaReadsOnlyTheHeader(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../examples/tiny-llama/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	counting := &readtest.Counter{ReaderAt: f}
	st, err := Read(counting, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Tensors) != 38 || st.Metadata["format"] != "pt" {
		t.Errorf("got %d tensors, metadata %v", len(st.Tensors), st.Metadata)
	}
	if counting.Reads != 2 || counting.Bytes != 8+4088 {
		t.Errorf("%d reads of %d bytes, want 2 of 4096", counting.Reads, counting.Bytes)
	}
}

// one is a header of one F32 tensor with the given body of the entry.
func one(body string) string { return `{"t":{` + body + `}}` }

var hostile = map[string][]byte{
	"empty file":                  {},
	"seven bytes":                 make([]byte, 7),
	"header length zero":          make([]byte, 8),
	"header length one":           append(binary.LittleEndian.AppendUint64(nil, 1), '{'),
	"3 GB claim in a 1 KB file":   append(binary.LittleEndian.AppendUint64(nil, 3<<30), make([]byte, 1016)...),
	"90 MB claim in a 1 KB file":  append(binary.LittleEndian.AppendUint64(nil, 90_000_000), make([]byte, 1016)...),
	"claim of all 64 bits":        append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), '{', '}'),
	"not an object":               file(`[]`, 0),
	"leading space":               file(` {}`, 0),
	"truncated object":            file(`{"t":{"dtype":"F32"`, 4),
	"truncated string":            file(`{"t`, 0),
	"bytes after the object":      file(`{}{}`, 0),
	"tensor given twice":          file(`{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
	"same tensor by escape":       file(`{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0074":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
	"metadata given twice":        file(`{"__metadata__":{},"__metadata__":{}}`, 0),
	"metadata in capitals":        file(`{"__METADATA__":{}}`, 0),
	"metadata key twice":          file(`{"__metadata__":{"a":"1","a":"2"}}`, 0),
	"metadata not a string":       file(`{"__metadata__":{"a":1}}`, 0),
	"metadata nested":             file(`{"__metadata__":{"a":{"b":"c"}}}`, 0),
	"field given twice":           file(one(`"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]`), 4),
	"field in capitals":           file(one(`"dtype":"F32","DType":"F16","shape":[1],"data_offsets":[0,4]`), 4),
	"field missing":               file(one(`"dtype":"F32","data_offsets":[0,4]`), 4),
	"unknown dtype":               file(one(`"dtype":"F33","shape":[1],"data_offsets":[0,4]`), 4),
	"negative dimension":          file(one(`"dtype":"F32","shape":[-1],"data_offsets":[0,4]`), 4),
	"fractional dimension":        file(one(`"dtype":"F32","shape":[1.5],"data_offsets":[0,4]`), 4),
	"exponent dimension":          file(one(`"dtype":"F32","shape":[1e2],"data_offsets":[0,400]`), 400),
	"dimension beyond 64 bits":    file(one(`"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]`), 4),
	"wrapping product":            file(one(`"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]`), 0),
	"wrapping byte size":          file(one(`"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]`), 0),
	"too many dimensions":         file(one(`"dtype":"U8","shape":[`+strings.Repeat("1,", 16)+`1],"data_offsets":[0,1]`), 1),
	"half a byte":                 file(one(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2),
	"size differs from the shape": file(one(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`), 4),
	"offsets swapped":             file(one(`"dtype":"F32","shape":[1],"data_offsets":[4,0]`), 4),
	"three offsets":               file(one(`"dtype":"F32","shape":[1],"data_offsets":[0,4,8]`), 4),
	"one offset":                  file(one(`"dtype":"F32","shape":[1],"data_offsets":[0]`), 4),
	"end past the file":           file(one(`"dtype":"F32","shape":[2],"data_offsets":[0,8]`), 4),
	"end at the top of 63 bits":   file(one(`"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]`), 4),
	"overlap":                     file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
	"hole":                        file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12),
	"hole at the start":           file(one(`"dtype":"F32","shape":[1],"data_offsets":[4,8]`), 8),
	"bytes after the data":        file(one(`"dtype":"F32","shape":[1],"data_offsets":[0,4]`), 5),
	"no name":                     file(`{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
	"name not UTF-8":              file("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
	"lone surrogate":              file(`{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
	"deep nesting":                file(strings.Repeat(`{"a":`, 10000), 0),
	"deep arrays":                 file(one(`"shape":`+strings.Repeat(`[`, 10000)), 0),
}

func TestHostileHeaders(t *testing.T) {
	readtest.Hostile(t, hostile, 1<<20, func(b []byte) error {
		_, err := read(b)
		return err
	})
}

func TestReadErrorsAreReturned(t *testing.T) {
	t.Parallel()
	b := file(one(`"dtype":"F32","shape":[1],"data_offsets":[0,4]`), 4)
	if _, err := Read(bytes.NewReader(b[:20]), int64(len(b))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	shards := map[string][]byte{
		"1.safetensors": file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
		"2.safetensors": file(`{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
	}
	open := func(name string) (io.ReaderAt, int64, error) {
		b, ok := shards[name]
		if !ok {
			return nil, 0, os.ErrNotExist
		}
		return bytes.NewReader(b), int64(len(b)), nil
	}
	for _, c := range []struct {
		name, index, want string
	}{
		{"right", `{"metadata":{"total_size":8},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`, ""},
		{"swapped", `{"weight_map":{"b":"1.safetensors","a":"2.safetensors"}}`, "not mapped"},
		{"tensor not in the index", `{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}`, "not mapped"},
		{"tensor not in the files", `{"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}}`, "does not hold"},
		{"shard missing", `{"weight_map":{"a":"3.safetensors"}}`, "not exist"},
		{"path", `{"weight_map":{"a":"../1.safetensors"}}`, "plain file name"},
		{"duplicate", `{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}`, "twice"},
		{"no map", `{}`, "missing"},
		{"array", `{"weight_map":[1]}`, "not an object"},
		{"number", `{"weight_map":{"a":1}}`, "no text"},
	} {
		index, err := ParseIndex([]byte(c.index))
		if err == nil {
			_, err = index.ReadShards(open)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzSafetensors(f *testing.F) {
	for _, b := range hostile {
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := read(b)
		if err != nil {
			return
		}
		total := int64(8 + binary.LittleEndian.Uint64(b))
		for _, ts := range st.Tensors {
			if ts.Offset != total || ts.Size < 0 {
				t.Fatal(fmt.Sprint("tensors do not tile the data: ", st.Tensors))
			}
			total += ts.Size
		}
		if total != int64(len(b)) {
			t.Fatalf("tensors end at %d of %d", total, len(b))
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":4},"weight_map":{"a":"1.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../1.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"1.safetensors","a":"1.safetensors"},"weight_map":[]}`))
	shard := file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4)
	f.Fuzz(func(t *testing.T, b []byte) {
		index, err := ParseIndex(b)
		if err != nil {
			return
		}
		for _, name := range index.Files() {
			if name == "" || strings.ContainsAny(name, `/\`) || name == ".." {
				t.Fatalf("file %q", name)
			}
		}
		shards, err := index.ReadShards(func(name string) (io.ReaderAt, int64, error) {
			return bytes.NewReader(shard), int64(len(shard)), nil
		})
		if err == nil && len(shards) > 0 && (len(shards) != 1 || len(index.WeightMap) != 1 || index.WeightMap["a"] == "") {
			t.Fatalf("%v agrees with files that hold only a", index.WeightMap)
		}
	})
}
