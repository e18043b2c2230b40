package packed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/packed/packtest"
	"github.com/carat-hub/carat/inference/tensor"
)

var dtypes = map[string]tensor.Type{
	"F32": tensor.F32, "F16": tensor.F16, "I32": tensor.I32, "I64": tensor.I64, "I8": tensor.I8, "U8": tensor.U8,
	"F8_E4M3": tensor.F8E4M3, "F8_E5M2": tensor.F8E5M2,
}

// model is tensors by name.
type model map[string]Tensor

func (m model) add(base string, of packtest.Matrix) {
	for _, p := range of.Parts {
		name := base + p.Suffix
		m[name] = Tensor{name, dtypes[p.DType], p.Shape, p.Data}
	}
}

func (m model) unpack(t testing.TB, config string, dry bool) ([]Unpacked, []string, error) {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(config), &o); err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(o)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for n := range m {
		names = append(names, n)
	}
	return c.Unpack(names, func(name string, _ bool) (Tensor, error) {
		found := m[name]
		if dry {
			found.Data = nil
		}
		return found, nil
	})
}

// layouts are a matrix of each layout and variant, with the configuration that goes with it.
func layouts() map[string]struct {
	config string
	of     packtest.Matrix
} {
	type layout = struct {
		config string
		of     packtest.Matrix
	}
	r := rand.New(rand.NewPCG(1, 2))
	all := map[string]layout{
		"fp8 tiles":       {`{"quant_method":"fp8","weight_block_size":[128,128]}`, packtest.Scaled(r, 200, 300, "F8_E4M3", ".weight_scale_inv", [2]int{128, 128}, 1)},
		"fp8 whole":       {`{"quant_method":"fp8"}`, packtest.Scaled(r, 9, 7, "F8_E5M2", ".weight_scale", [2]int{}, 1)},
		"fp8 rows":        {compressed("float-quantized", "float", 8, "channel"), packtest.Scaled(r, 9, 7, "F8_E4M3", ".weight_scale", [2]int{1, 0}, 1)},
		"int8 rows":       {compressed("int-quantized", "int", 8, "channel"), packtest.Scaled(r, 9, 7, "I8", ".weight_scale", [2]int{1, 0}, 1)},
		"LLM.int8":        {`{"quant_method":"bitsandbytes","load_in_8bit":true}`, packtest.Scaled(r, 9, 7, "I8", ".SCB", [2]int{1, 0}, 1/127.0)},
		"awq":             {`{"quant_method":"awq","bits":4,"group_size":32,"version":"GEMM"}`, packtest.AWQ(r, 24, 80, 32)},
		"awq one group":   {`{"quant_method":"awq","bits":4,"group_size":-1}`, packtest.AWQ(r, 16, 40, 40)},
		"nf4":             {`{"quant_method":"bitsandbytes","load_in_4bit":true}`, packtest.FourBit(r, 10, 52, "nf4", 64, false)},
		"nf4 twice":       {`{"quant_method":"bitsandbytes","load_in_4bit":true}`, packtest.FourBit(r, 130, 140, "nf4", 64, true)},
		"fp4":             {`{"load_in_4bit":true}`, packtest.FourBit(r, 3, 33, "fp4", 32, false)},
		"mxfp4":           {`{"quant_method":"mxfp4"}`, packtest.MXFP4(r, 11, 96)},
		"words":           {compressed("pack-quantized", "int", 4, "group"), packtest.Words(r, 11, 96, 4, 32, false)},
		"words, zeros":    {compressed("pack-quantized", "int", 4, "group"), packtest.Words(r, 11, 36, 4, 18, true)},
		"words of 8 bits": {compressed("pack-quantized", "int", 8, "channel"), packtest.Words(r, 11, 30, 8, 30, true)},
	}
	for _, bits := range []int{2, 3, 4, 8} {
		v1 := fmt.Sprintf(`{"quant_method":"gptq","bits":%d,"group_size":32}`, bits)
		all[fmt.Sprintf("gptq %d", bits)] = layout{v1, packtest.GPTQ(r, 32, 128, bits, 32, false, true, false, true)}
		all[fmt.Sprintf("gptq %d act", bits)] = layout{v1, packtest.GPTQ(r, 64, 96, bits, 32, true, false, false, true)}
		v2 := fmt.Sprintf(`{"quant_method":"gptq","bits":%d,"group_size":-1,"checkpoint_format":"gptq_v2"}`, bits)
		all[fmt.Sprintf("gptq %d v2", bits)] = layout{v2, packtest.GPTQ(r, 32, 64, bits, -1, false, false, true, false)}
	}
	return all
}

func compressed(format, kind string, bits int, strategy string) string {
	return fmt.Sprintf(`{"quant_method":"compressed-tensors","format":%q,"config_groups":{"group_0":{"weights":{"num_bits":%d,"type":%q,"strategy":%q}}}}`,
		format, bits, kind, strategy)
}

// TestLayouts compares every row, read one by one and several at once, with what the packer says it wrote.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for name, c := range layouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := model{"other.weight": {Name: "other.weight"}, "a.k_scale": {Name: "a.k_scale"}, "a.input_scale": {Name: "a.input_scale"}}
			m.add("a", c.of)
			found, rest, err := m.unpack(t, c.config, false)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || strings.TrimSuffix(found[0].Name, ".weight") != "a" || len(rest) != 1 || rest[0] != "other.weight" {
				t.Fatalf("found %v, left %v", found, rest)
			}
			x := found[0].Matrix
			if len(x.Shape) != 2 || x.Shape[0] != c.of.Rows || x.Shape[1] != c.of.Cols || x.Size() != int64(4*len(c.of.Values)) {
				t.Fatalf("shape %v, want %d x %d", x.Shape, c.of.Rows, c.of.Cols)
			}
			for _, step := range []int{1, 5, c.of.Rows} {
				for first := 0; first < c.of.Rows; first += step {
					rows := min(step, c.of.Rows-first)
					b := make([]byte, 4*rows*c.of.Cols)
					if n, err := x.ReadAt(b, int64(4*first*c.of.Cols)); n != len(b) || err != nil {
						t.Fatal(n, err)
					}
					for i := range rows * c.of.Cols {
						got, want := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))), c.of.Values[first*c.of.Cols+i]
						if !(math.Abs(got-want) <= 1e-6*math.Abs(want)+1e-9) {
							t.Fatalf("rows from %d by %d: element %d is %g, want %g", first, step, i, got, want)
						}
					}
				}
			}
			if _, err := x.ReadAt(make([]byte, 4*c.of.Cols), x.Size()); !errors.Is(err, io.EOF) {
				t.Errorf("beyond the end: %v", err)
			}
			if _, err := x.ReadAt(make([]byte, 4), 4); err == nil && c.of.Cols > 1 {
				t.Error("a part of a row was read")
			}
			if dry, _, err := m.unpack(t, c.config, true); err != nil || len(dry) != 1 || dry[0].Name != found[0].Name {
				t.Errorf("without data: %v, %v", dry, err)
			}
		})
	}
}

func TestTransposedAndSkippedRows(t *testing.T) {
	t.Parallel()
	const stack, in, out = 3, 10, 22
	var data []byte
	for i := range stack * in * out {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	whole, err := Transposed(Tensor{"t", tensor.F32, []int{stack, in, out}, data})
	if err != nil {
		t.Fatal(err)
	}
	odd := whole.Rows(1, 2)
	if fmt.Sprint(whole.Shape, odd.Shape) != "[3 22 10] [3 11 10]" {
		t.Fatal(whole.Shape, odd.Shape)
	}
	check := func(m *Matrix, of func(row, i int) int) {
		b := make([]byte, m.Size())
		if _, err := m.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		for i := range len(b) / 4 {
			if got, want := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])), of(i/in, i%in); got != float32(want) {
				t.Fatalf("element %d is %g, want %d", i, got, want)
			}
		}
	}
	at := func(one, o, i int) int { return one*in*out + i*out + o }
	check(whole, func(row, i int) int { return at(row/out, row%out, i) })
	check(odd, func(row, i int) int { return at(row/(out/2), row%(out/2)*2+1, i) })
}

func TestDamagedMatrices(t *testing.T) {
	t.Parallel()
	for name, c := range layouts() {
		whole := model{}
		whole.add("a", c.of)
		for part := range whole {
			broken := func(change func(*Tensor)) {
				m := model{}
				m.add("a", c.of)
				x := m[part]
				change(&x)
				if m[part] = x; x.Name == "" {
					delete(m, part)
				}
				found, _, err := m.unpack(t, c.config, false)
				var bad *fault.Malformed
				var unsupported *fault.Unsupported
				switch {
				case err == nil && len(found) == 1 && x.Name == "" && (strings.HasSuffix(part, "g_idx") || strings.HasSuffix(part, "zero_point")):
				case err == nil && len(found) == 0: // the tensor by which a matrix is known
				case !errors.As(err, &bad) && !errors.As(err, &unsupported):
					t.Errorf("%s, %s: %v", name, part, err)
				}
			}
			broken(func(x *Tensor) { x.Name = "" })
			broken(func(x *Tensor) { x.Type = tensor.F64 })
			broken(func(x *Tensor) {
				if part != "a.weight" || x.Type != tensor.U8 { // the shape of 4-bit weights tells nothing
					x.Shape = append([]int{2}, x.Shape...)
				} else {
					x.Data = x.Data[1:]
				}
			})
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	m := model{}
	m.add("a", packtest.GPTQ(r, 32, 64, 4, 32, true, true, false, true))
	binary.LittleEndian.PutUint32(m["a.g_idx"].Data[8:], 2)
	if _, _, err := m.unpack(t, `{"quant_method":"gptq","bits":4}`, false); err == nil || !strings.Contains(err.Error(), "groups from 0 to 2 of 2") {
		t.Errorf("an index outside: %v", err)
	}
	m.add("a", packtest.GPTQ(r, 32, 64, 4, 32, true, true, false, true))
	m["a.weight"] = Tensor{Name: "a.weight"}
	if _, _, err := m.unpack(t, `{"quant_method":"gptq","bits":4}`, false); err == nil || !strings.Contains(err.Error(), "packed and plain") {
		t.Errorf("stored twice: %v", err)
	}
	m = model{}
	m.add("a", packtest.FourBit(r, 10, 52, "nf4", 64, false))
	state := m["a.weight.quant_state.bitsandbytes__nf4"]
	for _, text := range []string{"[]", `{"quant_type":"nf4","blocksize":0,"shape":[10,52]}`, `{"quant_type":"nf4","blocksize":64,"shape":[-10,-52]}`, `{"quant_type":"nf4","blocksize":64,"shape":[520]}`} {
		state.Data, state.Shape = []byte(text), []int{len(text)}
		m[state.Name] = state
		var bad *fault.Malformed
		if _, _, err := m.unpack(t, `{"load_in_4bit":true}`, false); !errors.As(err, &bad) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"quant_method":"fp8","weight_block_size":[128,128]}`:                            "fp8",
		`{"quant_method":"gptq","bits":4,"group_size":128}`:                               "gptq-int4",
		`{"quant_method":"gptq","bits":8,"dynamic":{"-:.*norm.*":{}}}`:                    "gptq-int8",
		`{"quant_method":"awq","w_bit":4,"q_group_size":128}`:                             "awq-int4",
		`{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4"}`: "bitsandbytes-nf4",
		`{"quant_method":"bitsandbytes","load_in_8bit":true}`:                             "bitsandbytes-int8",
		`{"quant_method":"mxfp4"}`:                                                        "mxfp4",
		compressed("float-quantized", "float", 8, "channel"):                              "compressed-tensors-fp8",
		compressed("pack-quantized", "int", 4, "group"):                                   "compressed-tensors-int4",
		`{"quant_method":"aqlm"}`:                                                         `unsupported quantization: "aqlm" of safetensors`,
		`{}`:                                                                              `unsupported quantization: "" of safetensors`,
		`{"quant_method":"gptq","bits":5}`:                                                "unsupported quantization: GPTQ with 5 bits",
		`{"quant_method":"gptq","bits":4,"checkpoint_format":"marlin"}`:                   `unsupported quantization: GPTQ in the format "marlin"`,
		`{"quant_method":"gptq","bits":4,"group_size":0}`:                                 "unsupported quantization: GPTQ with groups of 0",
		`{"quant_method":"gptq","bits":4,"dynamic":{"+:.*down.*":{"bits":8}}}`:            `unsupported quantization: GPTQ with other settings for the modules "+:.*down.*"`,
		`{"quant_method":"gptq","bits":4,"pack_dtype":"int8"}`:                            `unsupported quantization: GPTQ packed in "int8"`,
		`{"quant_method":"awq","bits":4,"version":"gemv"}`:                                `unsupported quantization: AWQ for the kernel "gemv"`,
		`{"quant_method":"awq","bits":8}`:                                                 "unsupported quantization: AWQ with 8 bits",
		`{"quant_method":"awq","bits":4,"zero_point":false}`:                              "unsupported quantization: AWQ without zero points",
		`{"quant_method":"bitsandbytes"}`:                                                 "unsupported quantization: bitsandbytes without saying whether with 4 or 8 bits",
		`{"quant_method":"fp8","weight_block_size":[0,128]}`:                              `malformed config.json ("weight_block_size"): [0 128] is no size of a tile`,
		compressed("nvfp4-pack-quantized", "float", 4, "tensor_group"):                    `unsupported quantization: compressed-tensors in the format "nvfp4-pack-quantized"`,
		compressed("float-quantized", "float", 8, "token"):                                `unsupported quantization: compressed-tensors with scales by "token"`,
		compressed("naive-quantized", "float", 4, "tensor"):                               `unsupported quantization: compressed-tensors with float elements of 4 bits in the format "naive-quantized"`,
		`{"quant_method":"compressed-tensors","config_groups":{"a":{},"b":{}}}`:           "unsupported quantization: compressed-tensors with 2 groups of modules",
	} {
		var o map[string]any
		if err := json.Unmarshal([]byte(config), &o); err != nil {
			t.Fatal(err)
		}
		got := ""
		if c, err := ParseConfig(o); err != nil {
			got = err.Error()
		} else {
			got = c.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
	}
}

// BenchmarkLayouts reads a matrix of 512 x 4096 in pieces of 8 rows, as products do.
func BenchmarkLayouts(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	const rows, cols = 512, 4096
	for _, c := range []struct {
		name, config string
		of           packtest.Matrix
	}{
		{"fp8", `{"quant_method":"fp8","weight_block_size":[128,128]}`, packtest.Scaled(r, rows, cols, "F8_E4M3", ".weight_scale_inv", [2]int{128, 128}, 1)},
		{"gptq 4", `{"quant_method":"gptq","bits":4,"group_size":128}`, packtest.GPTQ(r, rows, cols, 4, 128, false, false, false, true)},
		{"gptq 3", `{"quant_method":"gptq","bits":3,"group_size":128}`, packtest.GPTQ(r, rows, cols, 3, 128, false, false, false, true)},
		{"awq", `{"quant_method":"awq","bits":4,"group_size":128}`, packtest.AWQ(r, rows, cols, 128)},
		{"nf4", `{"load_in_4bit":true}`, packtest.FourBit(r, rows, cols, "nf4", 64, true)},
		{"mxfp4", `{"quant_method":"mxfp4"}`, packtest.MXFP4(r, rows, cols)},
	} {
		m := model{}
		m.add("a", c.of)
		found, _, err := m.unpack(b, c.config, false)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			piece := make([]byte, 8*4*cols)
			for b.Loop() {
				for at := int64(0); at < found[0].Matrix.Size(); at += int64(len(piece)) {
					if _, err := found[0].Matrix.ReadAt(piece, at); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(rows*cols)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}
