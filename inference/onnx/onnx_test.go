package onnx

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/readtest"
	"github.com/carat-hub/carat/inference/internal/shared"
	"github.com/carat-hub/carat/inference/tensor"
)

func read(b []byte) (*Model, error) { return Read(bytes.NewReader(b), int64(len(b))) }

// example has every kind of thing that is read.
func example() msg {
	branch := msg{}.sub(1, encNode("Identity")).str(2, "branch").
		sub(5, encTensor("w", 1, 2).str(9, "12345678")).sub(12, encValue("out"))
	graph := msg{}.sub(1, encNode("MatMul")).sub(1, encNode("MatMul").str(7, "com.microsoft")).sub(1, encNode("MatMul")).
		sub(1, encNode("If", msg{}.str(1, "then_branch").sub(6, branch), msg{}.str(1, "else_branch").sub(6, branch))).
		sub(1, encNode("Constant", msg{}.str(1, "value").sub(5, encTensor("", Int64, 2).nums(7, 1, math.MaxUint64)))).
		str(2, "main").
		sub(5, encTensor("w", 1, 2, 3).str(9, strings.Repeat("x", 24))).
		sub(5, msg{}.nums(1, 2, 2).num(2, 10).str(9, "abcdefgh").str(8, "half")).
		sub(5, encTensor("floats", 1, 2).str(4, "abcdefgh")).
		sub(5, encTensor("bytes", 2, 3).nums(5, 1, 200, 255)).
		sub(5, encTensor("texts", String, 2).str(6, "a").str(6, "bc")).
		sub(5, encTensor("four bits", 22, 3).str(9, "ab")).
		sub(5, encTensor("scalar", 11).str(9, "12345678")).
		sub(5, encTensor("nothing", 1, 0, 4)).
		sub(5, encTensor("far", 1, 4).outside("location", "./model.onnx_data", "offset", "4096", "length", "16")).
		sub(11, encValue("ids", "batch", "sequence", 7, nil)).
		sub(12, encValue("logits", 1, 2)).
		sub(12, msg{}.str(1, "list").sub(2, msg{}.sub(4, msg{}.sub(1, msg{}.sub(5, msg{}.num(1, 7).sub(2, msg{}.sub(1, msg{}.num(1, 1)))))))).
		sub(15, msg{}.sub(1, encTensor("sparse", 1, 2).str(9, "12345678")).sub(2, encTensor("", Int64, 2).str(9, strings.Repeat("i", 16))).nums(3, 3, 4))
	return encModel(graph).sub(14, msg{}.str(1, "task").str(2, "text")).
		sub(25, msg{}.str(1, "Gelu").str(10, "own").sub(7, encNode("Erf"))).str(99, "unknown field")
}

func TestRead(t *testing.T) {
	t.Parallel()
	m, err := read(example())
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Tensors {
		m.Tensors[i].Offset = -1 // the next test is about them
	}
	plain := func(name string, typ DataType, size int64, shape ...int) Tensor {
		return Tensor{Name: name, Type: typ, Shape: shape, Size: size, Offset: -1, Plain: true}
	}
	inBranch := plain("w", 1, 8, 2)
	inThen, inElse := inBranch, inBranch
	inThen.Scope, inElse.Scope = "subgraph 1 (then_branch)", "subgraph 2 (else_branch)"
	numbers, texts, far := plain("bytes", 2, 5, 3), plain("texts", String, 3, 2), plain("far", 1, 16, 4)
	numbers.Plain, texts.Plain, far.File = false, false, "model.onnx_data"
	of := &Type{Kind: "map", Elem: Int64, Of: &Type{Kind: "tensor", Elem: 1}}
	want := &Model{
		IRVersion: 8, Opsets: []Opset{{"", 17}, {"com.microsoft", 1}}, Producer: "maker", ProducerVersion: "1.0",
		Metadata: []Property{{"task", "text"}}, Graph: "main",
		Inputs: []Value{{"ids", Type{Kind: "tensor", Elem: 1, HasShape: true, Shape: []Dimension{{-1, "batch"}, {-1, "sequence"}, {7, ""}, {-1, ""}}}}},
		Outputs: []Value{
			{"logits", Type{Kind: "tensor", Elem: 1, HasShape: true, Shape: []Dimension{{1, ""}, {2, ""}}}},
			{"list", Type{Kind: "sequence", Of: of}},
		},
		Nodes: 8, Subgraphs: 2,
		Operators: []OperatorCount{{"", "Identity", 2}, {"", "MatMul", 2}, {"", "Constant", 1}, {"", "Erf", 1}, {"", "If", 1}, {"com.microsoft", "MatMul", 1}},
		Functions: []Function{{"own", "Gelu", 1}},
		Tensors: []Tensor{
			inThen, inElse, plain("w", 1, 24, 2, 3), plain("half", 10, 8, 2, 2), plain("floats", 1, 8, 2), numbers, texts,
			plain("four bits", 22, 2, 3), plain("scalar", 11, 8), plain("nothing", 1, 0, 0, 4), far,
		},
		Constants: 1, ConstantBytes: 11,
	}
	sparse := m.Sparse
	m.Sparse = nil
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
	if len(sparse) != 1 || sparse[0].Values.Name != "sparse" || !cmp.Equal(sparse[0].Shape, []int{3, 4}) {
		t.Errorf("sparse %+v", sparse)
	}
	got := []string{m.Inputs[0].Type.String(), m.Outputs[1].Type.String(), Type{}.String(), DataType(77).String()}
	if d := cmp.Diff([]string{"FLOAT[batch,sequence,7,?]", "sequence(map(INT64,FLOAT))", "?", "type 77"}, got); d != "" {
		t.Error(d)
	}
}

func TestDataLiesWhereItIsSaidToLie(t *testing.T) {
	t.Parallel()
	b := example()
	m, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"half": "abcdefgh", "floats": "abcdefgh", "four bits": "ab", "scalar": "12345678", "bytes": "\x01\xc8\x01\xff\x01",
	} {
		for _, ts := range m.Tensors {
			if ts.Name == name && string(b[ts.Offset:ts.Offset+ts.Size]) != want {
				t.Errorf("%s: data %q", name, b[ts.Offset:ts.Offset+ts.Size])
			}
		}
	}
	far := m.Tensors[len(m.Tensors)-1]
	if far.Offset != 4096 || far.File != "model.onnx_data" || !cmp.Equal(m.Files(), []string{"model.onnx_data"}) {
		t.Errorf("%+v, files %v", far, m.Files())
	}
	for size, ok := range map[int64]bool{4096 + 16: true, 4096 + 15: false, 0: false} {
		var bad *fault.Malformed
		err := m.CheckExternal(func(string) (int64, error) { return size, nil })
		if ok && err != nil || !ok && (!errors.As(err, &bad) || bad.Where != "far") {
			t.Errorf("data file of %d bytes: %v", size, err)
		}
	}
	if err := m.CheckExternal(func(string) (int64, error) { return 0, fs.ErrNotExist }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestReadTinyBERT agrees with what onnxruntime 1.30.0 says of the same file's inputs and outputs.
func TestReadTinyBERT(t *testing.T) {
	t.Parallel()
	f, err := os.Open(shared.Path(t, "tiny-bert", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r := &readtest.Counter{ReaderAt: f}
	m, err := Read(r, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, v := range append(m.Inputs, m.Outputs...) {
		values = append(values, v.Name+" "+v.Type.String())
	}
	want := []string{
		"input_ids INT64[batch,seq]", "attention_mask INT64[batch,seq]", "token_type_ids INT64[batch,seq]",
		"last_hidden_state FLOAT[batch,seq,128]",
	}
	if d := cmp.Diff(want, values); d != "" {
		t.Error(d)
	}
	if !cmp.Equal(m.Opsets, []Opset{{"", 14}}) || m.Nodes != 292 || len(m.Tensors) != 53 {
		t.Errorf("opsets %v, %d nodes, %d tensors", m.Opsets, m.Nodes, len(m.Tensors))
	}
	elements := int64(0)
	for _, ts := range m.Tensors {
		n, _ := tensor.Elements(ts.Shape)
		if elements += n; !ts.Plain {
			t.Errorf("%s is not stored as it is", ts.Name)
		}
	}
	if elements != 1136000 || r.Bytes > 256<<10 || r.Reads > 53 {
		t.Errorf("%d elements, %d reads of %d bytes", elements, r.Reads, r.Bytes)
	}
}

func hostile() map[string]msg {
	one := func(t msg) msg { return encInitializers(t) }
	raw := func(typ DataType, data string, dims ...uint64) msg {
		return one(encTensor("t", typ, dims...).str(9, data))
	}
	deep := msg{}
	for range MaxDepth + 2 {
		deep = msg{}.sub(1, encNode("If", msg{}.str(1, "g").sub(6, deep)))
	}
	deepType := msg{}.sub(1, msg{}.num(1, 1))
	for range MaxDepth + 2 {
		deepType = msg{}.sub(4, msg{}.sub(1, deepType))
	}
	return map[string]msg{
		"empty":                         {},
		"text":                          msg("not a model at all"),
		"no graph":                      msg{}.num(1, 8),
		"no version":                    msg{}.sub(7, msg{}),
		"two graphs":                    encModel(msg{}).sub(7, msg{}),
		"length past the file":          append(encModel(msg{}), 0x3a, 0xff, 0xff, 0xff, 0x7f),
		"length of 64 bits":             append(encModel(msg{}), 0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
		"varint of 80 bits":             append(encModel(msg{}), 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"field number zero":             append(encModel(msg{}), 0x00, 0x00),
		"group":                         append(encModel(msg{}), 0x9b, 0x06, 0x9c, 0x06),
		"inner past outer":              encModel(msg{0x0a, 0x7f}),
		"fixed cut off":                 append(encModel(msg{}), 0x9d, 0x06, 1, 2),
		"deep graphs":                   encModel(deep),
		"deep types":                    encModel(msg{}.sub(11, msg{}.str(1, "i").sub(2, deepType))),
		"initializer without a name":    one(encTensor("", 1, 1).str(9, "1234")),
		"initializer twice":             encInitializers(encTensor("t", 1).str(9, "1234"), encTensor("t", 1).str(9, "1234")),
		"unknown type":                  raw(99, "1234", 1),
		"no type":                       raw(0, "1234", 1),
		"size differs from the shape":   raw(1, "12345678", 1),
		"strings as raw data":           raw(String, "a", 1),
		"no data":                       one(encTensor("t", 1, 1)),
		"data twice":                    one(encTensor("t", 1, 1).str(9, "1234").str(9, "1234")),
		"data in two fields":            one(encTensor("t", 1, 1).str(9, "1234").str(4, "1234")),
		"data in another type's field":  one(encTensor("t", 1, 1).nums(7, 1)),
		"too few numbers":               one(encTensor("t", Int64, 100).nums(7, 1)),
		"too many numbers":              one(encTensor("t", Int64, 1).str(7, strings.Repeat("\x01", 30))),
		"too few strings":               one(encTensor("t", String, 3).str(6, "a")),
		"dimension negative":            raw(1, "", math.MaxUint64),
		"product wraps to zero":         raw(1, "", 1<<32, 1<<32),
		"size wraps":                    raw(11, "", 1<<61),
		"too many dimensions":           raw(1, "1234", make([]uint64, maxDims+1)...),
		"packed dimensions cut off":     one(msg{}.str(1, "\x80").num(2, 1).str(8, "t")),
		"name too long":                 one(encTensor(strings.Repeat("n", MaxName+1), 1).str(9, "1234")),
		"name not UTF-8":                one(encTensor("\xff", 1).str(9, "1234")),
		"external, absolute":            one(encTensor("t", 1, 1).outside("location", "/etc/passwd")),
		"external, upwards":             one(encTensor("t", 1, 1).outside("location", "../secret")),
		"external, upwards inside":      one(encTensor("t", 1, 1).outside("location", "a/../../secret")),
		"external, of Windows":          one(encTensor("t", 1, 1).outside("location", `c:\secret`)),
		"external, backslashes":         one(encTensor("t", 1, 1).outside("location", `..\secret`)),
		"external, the folder":          one(encTensor("t", 1, 1).outside("location", ".")),
		"external, NUL":                 one(encTensor("t", 1, 1).outside("location", "a\x00b")),
		"external without a location":   one(encTensor("t", 1, 1).outside("offset", "0")),
		"external, two locations":       one(encTensor("t", 1, 1).outside("location", "a", "location", "b")),
		"external, another length":      one(encTensor("t", 1, 1).outside("location", "a", "length", "5")),
		"external, negative offset":     one(encTensor("t", 1, 1).outside("location", "a", "offset", "-1")),
		"external, offset of 64 bits":   one(encTensor("t", 1, 1).outside("location", "a", "offset", "9223372036854775807")),
		"external and inside":           one(encTensor("t", 1, 1).str(9, "1234").outside("location", "a")),
		"external strings":              one(encTensor("t", String, 1).outside("location", "a")),
		"node without an operator":      encModel(msg{}.sub(1, msg{})),
		"sparse without indices":        encModel(msg{}.sub(15, msg{}.sub(1, encTensor("s", 1, 1).str(9, "1234")).nums(3, 4))),
		"sparse with more than fit":     encModel(msg{}.sub(15, msg{}.sub(1, encTensor("s", 1, 2).str(9, "12345678")).sub(2, encTensor("", Int64, 2).str(9, strings.Repeat("i", 16))).nums(3, 1))),
		"subgraph with external upward": encModel(msg{}.sub(1, encNode("If", msg{}.sub(6, msg{}.sub(5, encTensor("t", 1, 1).outside("location", "../x")))))),
		"constant with external upward": encModel(msg{}.sub(1, encNode("Constant", msg{}.sub(5, encTensor("t", 1, 1).outside("location", "../x"))))),
		"many tensors":                  encModel(msg(strings.Repeat(string(msg{}.sub(5, encTensor("t", 1).str(9, "1234"))), MaxTensors+1))),
		"many shapes":                   encModel(msg(strings.Repeat(string(msg{}.sub(5, encTensor("t", 1, make([]uint64, 32)...))), 1<<15))),
		"many values":                   encModel(msg(strings.Repeat(string(msg{}.sub(11, encValue("v"))), MaxValues+1))),
		"many metadata":                 append(encModel(msg{}), strings.Repeat(string(msg{}.sub(14, msg{}.str(1, "k"))), maxMetadata+1)...),
	}
}

func TestHostileFiles(t *testing.T) {
	readtest.Hostile(t, hostile(), 16<<20, func(b []byte) error {
		_, err := read(b)
		return err
	})
}

func TestReadErrorsAreReturned(t *testing.T) {
	t.Parallel()
	b := example()
	if _, err := Read(bytes.NewReader(b[:30]), int64(len(b))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	var unsupported *fault.Unsupported
	if _, err := read(encInitializers(encTensor("t", 1, 1).sub(3, msg{}))); !errors.As(err, &unsupported) {
		t.Errorf("a tensor in segments: %v", err)
	}
}

func FuzzONNX(f *testing.F) {
	f.Add([]byte(example()))
	for _, b := range hostile() {
		if len(b) < 4096 {
			f.Add([]byte(b))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(b)
		if err != nil {
			return
		}
		for _, ts := range m.all() {
			if ts.Offset < 0 || ts.Size < 0 || ts.File == "" && ts.Offset+ts.Size > int64(len(b)) {
				t.Fatalf("tensor outside the file: %+v", ts)
			}
			if n, ok := tensor.Elements(ts.Shape); !ok || n < 0 {
				t.Fatalf("shape %v", ts.Shape)
			}
			if ts.File != "" && !isLocal(ts.File) {
				t.Fatalf("file %q", ts.File)
			}
		}
		for _, v := range append(m.Inputs, m.Outputs...) {
			_ = v.Type.String()
		}
		if err := m.CheckExternal(func(string) (int64, error) { return 1 << 20, nil }); err != nil {
			_ = err.Error()
		}
	})
}
