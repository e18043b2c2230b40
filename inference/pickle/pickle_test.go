package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/readtest"
	"github.com/carat-hub/carat/inference/tensor"
)

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func readFile(t testing.TB, name string) ([]byte, *File) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := read(b)
	if err != nil {
		t.Fatal(name, err)
	}
	return b, f
}

func TestOpcodes(t *testing.T) {
	t.Parallel()
	n := 0
	for _, o := range opcodes {
		if o.name != "" {
			n++
		}
	}
	if n != 68 {
		t.Errorf("%d opcodes, Python has 68", n)
	}
}

// TestCheckpoints reads what Python's pickler writes of the same tensors in both layouts.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"legacy", "zip"} {
		for _, protocol := range []int{2, 4, 5} {
			name := fmt.Sprint(layout, protocol, ".pt")
			b, f := readFile(t, name)
			prefix := map[string]string{"legacy": "", "zip": "state_dict."}[layout]
			want := []Tensor{
				{Name: "embed.weight", Type: tensor.F32, Shape: []int{2, 3}, Stride: []int{3, 1}, Storage: "0", Size: 24, Contiguous: true},
				{Name: "head.weight", Type: tensor.F32, Shape: []int{2, 3}, Stride: []int{3, 1}, Storage: "0", Size: 24, Contiguous: true, Shared: true},
				{Name: "view", Type: tensor.F32, Shape: []int{3}, Stride: []int{1}, Storage: "0", Begin: 3, Size: 12, Contiguous: true},
				{Name: "transposed", Type: tensor.F32, Shape: []int{3, 2}, Stride: []int{1, 3}, Storage: "0", Size: 24},
				{Name: "half", Type: tensor.F16, Shape: []int{4}, Stride: []int{1}, Storage: "1", Size: 8, Contiguous: true},
				{Name: "scalar", Type: tensor.F16, Shape: []int{}, Stride: []int{}, Storage: "1", Begin: 3, Size: 2, Contiguous: true},
			}
			data := []any{[]float32{0, 1, 2, 3, 4}, []float32{0, 1}, []float32{3, 4}, []float32{}, []uint16{0x3c00, 0x4000, 0x4200, 0x4400}, []uint16{0x4400}}
			for i := range want {
				want[i].Name = prefix + want[i].Name
				at, err := f.Tensors[i].Offset()
				if err != nil {
					t.Fatal(err)
				}
				if expect, err := binary.Append(nil, binary.LittleEndian, data[i]); err != nil || !bytes.HasPrefix(b[at:], expect) {
					t.Errorf("%s: %s has data %x at %d, %v", name, want[i].Name, b[at:][:8], at, err)
				}
				f.Tensors[i].store = nil
			}
			if d := cmp.Diff(want, f.Tensors, cmp.AllowUnexported(Tensor{})); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			if f.Layout != layout || f.BigEndian || f.Rest != 0 || len(f.Unknown()) != 0 {
				t.Errorf("%s: %s, %d bytes left, unknown %v", name, f.Layout, f.Rest, f.Unknown())
			}
			var imports []string
			for _, r := range f.References {
				if strings.HasSuffix(r.Op, "GLOBAL") {
					imports = append(imports, r.String())
				}
				if r.Op == "REDUCE" && r.Name == "_rebuild_tensor_v2" && r.Count != 5 {
					t.Errorf("%s: %d tensors are rebuilt", name, r.Count)
				}
			}
			names := []string{"collections.OrderedDict", "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor_v2", "torch.FloatStorage", "torch.HalfStorage"}
			if d := cmp.Diff(names, imports); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}

// TestPlainPickles reads the same dictionary in each protocol.
func TestPlainPickles(t *testing.T) {
	t.Parallel()
	for protocol := range 6 {
		name := fmt.Sprint("plain", protocol, ".pkl")
		b, f := readFile(t, name)
		top := f.Value.(*Dict)
		got := map[string]string{}
		for i, k := range top.Keys {
			if list, ok := top.Values[i].(*List); ok && k != "itself" {
				got[k.(string)] = show(list)
			}
		}
		if top.Values[4] != Value(top) {
			t.Errorf("%s: the dictionary does not hold itself", name)
		}
		want := map[string]string{
			"values":  "[1 2.5 <nil> true x y () (1) (1 2) (1 2 3) (1 2 3 4) {1} {3} {k:v}]",
			"numbers": "[1267650600228229401496703205376 -1180591620717411303424 -5 300 70000 -2147483648 1099511627776]",
			"texts":   "[€\n\\ q " + strings.Repeat("long ", 100) + "]",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		var call *Reference
		for i, r := range f.References {
			if r.Op == "REDUCE" && r.Name == "system" {
				call = &f.References[i]
			}
		}
		if call == nil || call.Known || b[call.Offset] != 'R' || len(f.Unknown()) == 0 {
			t.Errorf("%s: the call is listed as %+v", name, call)
		}
	}
}

// show writes a value for comparison; what protocols before 3 make of bytes, sets and the like by calls comes out as the same.
func show(v Value) string {
	list := func(open, end string, values []Value) string {
		parts := make([]string, len(values))
		for i := range values {
			parts[i] = show(values[i])
		}
		return open + strings.Join(parts, " ") + end
	}
	switch v := v.(type) {
	case *List:
		return list("[", "]", v.Items)
	case *Tuple:
		return list("(", ")", v.Items)
	case *Set:
		return list("{", "}", v.Items)
	case *Dict:
		var pairs []Value
		for i := range v.Keys {
			pairs = append(pairs, show(v.Keys[i])+":"+show(v.Values[i]))
		}
		return list("{", "}", pairs)
	case Bytes:
		return string(v)
	case *Object:
		args, _ := items(v.Args)
		switch class := v.Class.(*Global); class.Name {
		case "set", "frozenset":
			inner, _ := items(args[0])
			return list("{", "}", inner)
		case "encode", "bytearray", "bytes":
			return show(args[0])
		}
	}
	return fmt.Sprint(v)
}

// TestReferences finds names however they are written.
func TestReferences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pickle bld
		want   string
	}{
		"GLOBAL":                        {bld("cos\nsystem\n."), "GLOBAL os.system 0"},
		"known only letter for letter":  {bld("ccollections\nOrderedDict2\n."), "GLOBAL collections.OrderedDict2 0"},
		"INST":                          {bld("(ios\nsystem\n."), "INST os.system 1"},
		"OBJ":                           {bld("(cos\nsystem\no."), "GLOBAL os.system 1, OBJ os.system 12"},
		"NEWOBJ":                        {bld("cos\nsystem\n)\x81."), "GLOBAL os.system 0, NEWOBJ os.system 12"},
		"NEWOBJ_EX":                     {bld("cos\nsystem\n)}\x92."), "GLOBAL os.system 0, NEWOBJ_EX os.system 13"},
		"STACK_GLOBAL":                  {bld{}.text("os").text("system").op("\x93."), "STACK_GLOBAL os.system 12"},
		"STACK_GLOBAL of memos":         {bld{}.text("system").op("q\x05").text("os").op("q\x0700h\x07h\x05\x93."), "STACK_GLOBAL os.system 22"},
		"STACK_GLOBAL of a number":      {bld("K\x01K\x02\x93."), "STACK_GLOBAL a name that is not written in the pickle 4"},
		"STACK_GLOBAL of a call":        {bld("cos\ngetcwd\n)R").text("x").op("\x93."), "GLOBAL os.getcwd 0, REDUCE os.getcwd 12, STACK_GLOBAL a name that is not written in the pickle 16"},
		"a call of what a call returns": {bld("cbuiltins\ngetattr\n(tR)R."), "GLOBAL builtins.getattr 0, REDUCE builtins.getattr 20, REDUCE what builtins.getattr returns 22"},
		"EXT":                           {bld("\x82\x07."), "EXT1 extension 7 0"},
		"BUILD":                         {bld("cos\nx\n)R}b."), "GLOBAL os.x 0, REDUCE os.x 7, BUILD os.x 9"},
		"BUILD on a class":              {bld("cos\nx\n}b."), "GLOBAL os.x 0, BUILD os.x 7"},
		"APPEND on a class":             {bld("cos\nx\nK\x01a."), "GLOBAL os.x 0, APPEND os.x 8"},
		"a name with two spellings":     {bld("cos\nsystem\n0cos\npath.join\n."), "GLOBAL os.system 0, GLOBAL os.path.join 12"},
		"behind an error":               {bld("cos\nsystem\n0000"), "GLOBAL os.system 0"},
		"second pickle":                 {bld("N.\x80\x02cos\nsystem\n."), "GLOBAL os.system 4"},
	} {
		f, err := read(c.pickle)
		if err != nil && name != "behind an error" {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, r := range f.References {
			if r.Known {
				t.Errorf("%s: %v counts as known", name, r)
			}
			got = append(got, fmt.Sprintf("%s %s %d", r.Op, r.String(), r.Offset))
		}
		if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestZipArchives(t *testing.T) {
	t.Parallel()
	floats := strings.Repeat("\x00\x00\x80\x3f", 6)
	good := string(state("0", 6, 0, []int{2, 3}, []int{3, 1}))
	f, err := read(zipped(t, "m/data.pkl", good, "m/data/0", floats, "m/byteorder", "big", "m/code/__torch__/x.py", "pass",
		"m/constants.pkl", "cos\nsystem\n."))
	if err != nil || len(f.Tensors) != 1 || !f.BigEndian || !cmp.Equal(f.Code, []string{"m/code/__torch__/x.py"}) {
		t.Errorf("%+v, %v", f, err)
	}
	if u := f.Unknown(); len(u) != 1 || u[0] != (Global{"os", "system"}) || f.References[0].Member != "m/constants.pkl" {
		t.Errorf("unknown %v in %+v", u, f.References)
	}
	twice := zipped(t, "m/data.pkl", good, "m/data/0", floats, "m/dbta/0", floats)
	outside := bytes.Replace(zipped(t, "m/data.pkl", good, "m/data/0", floats), []byte("PK\x03\x04"), []byte("PK\x03\x05"), 1)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no pickle":            {zipped(t, "a.txt", ""), "without a pickle"},
		"no storage":           {zipped(t, "m/data.pkl", good), "no member"},
		"storage too short":    {zipped(t, "m/data.pkl", good, "m/data/0", floats[1:]), "23 bytes"},
		"storage too long":     {zipped(t, "m/data.pkl", good, "m/data/0", floats+"x"), "25 bytes"},
		"two of a name":        {bytes.ReplaceAll(twice, []byte("dbta"), []byte("data")), "two members"},
		"damaged local header": {append([]byte("PK\x03\x04"), outside[4:]...)[:len(outside)], ""},
		"cut off":              {twice[:len(twice)-30], "zip"},
		"not an archive":       {[]byte("PK\x03\x04 and nothing else"), "zip"},
	} {
		_, err := read(c.file)
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestJoblibArrays goes on behind the bytes of arrays that lie between opcodes.
func TestJoblibArrays(t *testing.T) {
	t.Parallel()
	array := func(dtype string, align bool, count int, data string) bld {
		b := bld{}.global("joblib.numpy_pickle", "NumpyArrayWrapper").op(")\x81}(").text("shape").nums(count).
			text("dtype").global("numpy", "dtype").op("(").text(dtype).op("\x89\x88tR").op("(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
		if align {
			b = b.text("numpy_array_alignment_bytes").op("K\x10")
		}
		return b.op("ub").op(data)
	}
	end := "cos\nsystem\n)R0."
	for name, c := range map[string]struct {
		pickle bld
		ok     bool
	}{
		"plain":            {bld("\x80\x04").op(string(array("f8", false, 2, strings.Repeat(".", 16)))).op(end), true},
		"aligned":          {bld("\x80\x04").op(string(array("i4", true, 2, "\x03xxx........"))).op(end), true},
		"behind a frame":   {framed(array("f8", false, 1, "")).op("........").op(end), true},
		"texts":            {bld("\x80\x04").op(string(array("U2", false, 1, "........"))).op(end), true},
		"objects":          {bld("\x80\x04").op(string(array("O8", false, 2, "\x80\x02]."))).op(end), true},
		"past the end":     {bld("\x80\x04").op(string(array("f8", false, 2000, "."))).op(end), false},
		"of unknown type":  {bld("\x80\x04").op(string(array("Q8", false, 2, "."))).op(end), false},
		"in its own array": {bld("\x80\x04").op(strings.Repeat(string(array("O8", false, 1, "")), maxNested+2)), false},
	} {
		f, err := read(c.pickle)
		var bad *fault.Malformed
		if c.ok && (err != nil || f.Rest != 0) || !c.ok && !errors.As(err, &bad) {
			t.Errorf("%s: %v, %d bytes left", name, err, f.Rest)
		}
		if c.ok && f.References[len(f.References)-1].Name != "system" {
			t.Errorf("%s: the last name is %+v", name, f.References[len(f.References)-1])
		}
	}
}

func TestCompressedFiles(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"\x1f\x8b\x08", "\x78\x9c", "BZh9", "\x80\x06."} {
		var unsupported *fault.Unsupported
		if _, err := read([]byte(head + strings.Repeat("x", 600))); !errors.As(err, &unsupported) {
			t.Errorf("%q: %v", head, err)
		}
	}
}

func hostile(t testing.TB) map[string][]byte {
	archive := func(p bld) []byte { return zipped(t, "m/data.pkl", string(p), "m/data/0", strings.Repeat("\x00", 24)) }
	many := bld("\x80\x02(")
	for range 100_000 {
		many = many.op("]")
	}
	var directory []string
	for i := range 40_000 {
		directory = append(directory, fmt.Sprintf("%x", i), "")
	}
	return map[string][]byte{
		"empty":                     {},
		"text":                      []byte("no pickle at all"),
		"unknown opcode":            []byte("\x80\x02\xff."),
		"no stop":                   []byte("\x80\x02N"),
		"empty stack":               []byte("."),
		"below the mark":            []byte("N(\x85."),
		"mark missing":              []byte("Nt."),
		"nothing remembered":        []byte("h\x05."),
		"text longer than the file": []byte("X\xff\xff\xff\x7fabc."),
		"text of 64 bits":           []byte("\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc."),
		"negative length":           []byte("T\xff\xff\xff\xffabc."),
		"frame past the file":       []byte("\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00N."),
		"crosses its frame":         []byte("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00C\x04abcd."),
		"frame in a frame":          []byte("\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00N."),
		"long past the file":        []byte("\x8b\xff\xff\xff\x7f."),
		"line without an end":       append([]byte("c"), strings.Repeat("x", maxLine+1)...),
		"number that is none":       []byte("Izz\n."),
		"quotes that do not match":  []byte("S'x\"\n."),
		"escape cut off":            []byte("V\\u12\n."),
		"key without a value":       []byte("}(Nu."),
		"append to a dictionary":    []byte("}Na."),
		"stack too high":            append(bytes.Repeat([]byte("N"), maxStack+1), '.'),
		"marks too many":            append(bytes.Repeat([]byte("("), maxStack+1), '.'),
		"tensor in deep tuples":     archive(bld("\x80\x02").tensor("0", 6, 0, nil, nil).op(strings.Repeat("\x85", maxDepth+10)).op(".")),
		"storage too small":         archive(state("0", 6, 0, []int{7}, []int{1})),
		"begins past the storage":   archive(state("0", 6, 6, []int{1}, []int{1})),
		"strides past the storage":  archive(state("0", 6, 0, []int{2, 2}, []int{5, 1})),
		"strides wrap":              archive(bld("\x80\x02}").text("w").global("torch._utils", "_rebuild_tensor").op("((").text("storage").global("torch", "FloatStorage").text("0").text("cpu").num(6).op("tQK\x00(").num(math.MaxInt32).num(math.MaxInt32).op("t(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ftttRs.")),
		"negative shape":            archive(state("0", 6, 0, []int{-1}, []int{1})),
		"negative begin":            archive(state("0", 6, -1, []int{1}, []int{1})),
		"fewer strides":             archive(state("0", 6, 0, []int{2, 3}, []int{1})),
		"storage counted wrongly":   archive(state("0", 5, 0, []int{1}, []int{1})),
		"storage elsewhere":         archive(state("../0", 6, 0, []int{1}, []int{1})),
		"no arguments":              archive(bld("\x80\x02}").text("w").global("torch._utils", "_rebuild_tensor_v2").op("K\x00\x85Rs.")),
		"storage of two sizes":      archive(bld("\x80\x02}").text("v").tensor("0", 6, 0, nil, nil).op("s").text("w").tensor("0", 5, 0, nil, nil).op("s.")),
		"many lists":                append(many, "t"...),
		"many names":                append(bytes.Repeat([]byte("N"), 1), manyNames()...),
		"large directory":           zipped(t, directory...),
		"legacy without its parts":  []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."),
		"remembering too much":      remembering(),
	}
}

func manyNames() []byte {
	var b bld
	for i := range maxGlobals + 1 {
		b = b.global("m", fmt.Sprint(i)).op("0")
	}
	return b.op(".")
}

func remembering() []byte {
	b := bld("]")
	for i := range 1 << 19 {
		b = binary.LittleEndian.AppendUint32(append(b, 'r'), uint32(i))
	}
	return b.op(".")
}

func TestHostileFiles(t *testing.T) {
	readtest.Hostile(t, hostile(t), 16<<20, func(b []byte) error {
		_, err := read(b)
		return err
	})
}

// TestLargeValuesAreNotKept: a text of megabytes, and more members than there is room for, leave the names listed.
func TestLargeValuesAreNotKept(t *testing.T) {
	t.Parallel()
	b := bld("\x80\x02](")
	b = append(binary.LittleEndian.AppendUint32(append(b, 'X'), 8<<20), make([]byte, 8<<20)...)
	for range 100 {
		b = b.op("]").op(strings.Repeat("G\x40\x09\x21\xfb\x54\x44\x2d\x18a", 4000))
	}
	f, err := read(b.op("ecos\nsystem\n."))
	if err != nil || len(f.Unknown()) != 1 || f.Rest != 0 {
		t.Errorf("%v, %d bytes left, %v", f.Unknown(), f.Rest, err)
	}
}

func TestReadErrorsAreReturned(t *testing.T) {
	t.Parallel()
	b := state("0", 6, 0, nil, nil)
	if _, err := Read(bytes.NewReader(b[:30]), int64(len(b))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func FuzzPickle(f *testing.F) {
	for _, b := range hostile(f) {
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	names, err := filepath.Glob("testdata/*.p*")
	if err != nil || len(names) < 12 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := read(b)
		if p == nil {
			t.Fatalf("no file, %v", err)
		}
		p.Unknown()
		for _, ts := range p.Tensors {
			at, err := ts.Offset()
			if err == nil && ts.Contiguous && (at < 0 || at+ts.Size > int64(len(b))) {
				t.Fatalf("%+v lies outside the file, at %d", ts, at)
			}
		}
		for _, r := range p.References {
			if r.Known != known[r.Global] || r.Count < 1 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
