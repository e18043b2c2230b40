package inference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carat-hub/carat/inference/internal/shared"
)

func checkpoint(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("pickle", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCheckpointFacts tells facts of a checkpoint whose tensors it lists, and reads their values.
func TestCheckpointFacts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, name := range []string{"zip2.pt", "legacy4.pt"} {
		files := memory(map[string][]byte{
			"pytorch_model.bin": checkpoint(t, name), "training_args.bin": nil, "model.onnx": nil, configName: []byte(`{"model_type":"llama"}`),
		})
		f, err := Inspect(ctx, files)
		if err != nil {
			t.Fatal(name, err)
		}
		// Tied weights are stored once; a view and a transposed matrix count as what they are.
		if f.Format != "pytorch" || len(f.Tensors) != 6 || f.Parameters != 6+3+6+4+1 || f.Bytes != 4*15+2*5 || f.Architecture != "llama" {
			t.Errorf("%s: %+v", name, f)
		}
		if f.Runnable || f.Unsupported != "unsupported file format: pickle: tensors are listed, never executed" {
			t.Errorf("%s: %q", name, f.Unsupported)
		}
		known := 0
		for _, g := range f.Globals {
			if g.Known && g.File == "pytorch_model.bin" {
				known++
			}
		}
		if known != len(f.Globals) || known < 7 {
			t.Errorf("%s: names %+v", name, f.Globals)
		}
		var refused *UnsupportedError
		if m, err := Open(ctx, files); !errors.As(err, &refused) {
			t.Errorf("%s: opened %v, %v", name, m, err)
		}
		var scans []string
		err = ScanTensors(ctx, files, func(s TensorScan) error {
			scans = append(scans, fmt.Sprint(strings.TrimPrefix(s.Name, "state_dict."), " ", s.NaN, " ", s.Zero, " ", s.Max, " ", s.Skipped))
			return nil
		})
		want := []string{"embed.weight 1 1 4 ", "head.weight 1 1 4 ", "view 1 0 4 ", "transposed 0 0 0 elements do not lie in a row", "half 0 0 4 ", "scalar 0 0 4 "}
		if d := cmp.Diff(want, scans); err != nil || d != "" {
			t.Errorf("%s: %s, %v", name, d, err)
		}
	}
}

func TestPickleFacts(t *testing.T) {
	t.Parallel()
	f, err := Inspect(context.Background(), memory(map[string][]byte{"model.pkl": checkpoint(t, "plain4.pkl")}))
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, g := range f.Globals {
		if !g.Known {
			calls = append(calls, g.Op+" "+g.Name)
		}
	}
	if d := cmp.Diff([]string{"STACK_GLOBAL posix.system", "REDUCE posix.system"}, calls); d != "" || f.Format != "pickle" || f.Runnable {
		t.Errorf("%s, %+v", d, f)
	}
}

func TestCheckpointShards(t *testing.T) {
	t.Parallel()
	a, b := checkpoint(t, "zip4.pt"), checkpoint(t, "legacy4.pt")
	both := map[string]string{}
	for _, n := range []string{"embed.weight", "head.weight", "view", "transposed", "half", "scalar"} {
		both["state_dict."+n], both[n] = "a.bin", "b.bin"
	}
	index := func(change func(m map[string]string)) []byte {
		m := map[string]string{}
		for k, v := range both {
			m[k] = v
		}
		change(m)
		out, err := json.Marshal(map[string]any{"weight_map": m})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct {
		index []byte
		want  string
	}{
		"right":                   {index(func(map[string]string) {}), ""},
		"missing in the index":    {index(func(m map[string]string) { delete(m, "view") }), "not mapped"},
		"mapped to another":       {index(func(m map[string]string) { m["view"] = "a.bin" }), "not mapped"},
		"missing in the files":    {index(func(m map[string]string) { m["other"] = "b.bin" }), "does not hold"},
		"file that is not there":  {index(func(m map[string]string) { m["other"] = "c.bin" }), "shard is missing"},
		"file in another folder":  {index(func(m map[string]string) { m["other"] = "../c.bin" }), "plain file name"},
		"index that is no object": {[]byte("[]"), "pytorch index"},
	} {
		f, err := Inspect(context.Background(), memory(map[string][]byte{"a.bin": a, "b.bin": b, pickleIndexName: c.index}))
		if c.want == "" && (err != nil || len(f.Tensors) != 12 || f.Format != "pytorch") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// onnxFile is a graph with a weight inside the file, one in a file beside it, and one of numbers of varying length.
func onnxFile(location string) []byte {
	str := func(m []byte, field protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), s)
	}
	num := func(m []byte, field protowire.Number, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), n)
	}
	tensor := func(name string, typ, dim uint64) []byte { return str(num(num(nil, 1, dim), 2, typ), 8, name) }
	inside := str(tensor("inside", 1, 2), 9, "\x00\x00\x80\x3f\x00\x00\xc0\x7f")
	place := str(str(nil, 1, "location"), 2, location)
	offset := str(str(nil, 1, "offset"), 2, "4")
	outside := num(str(str(tensor("outside", 1, 3), 13, string(place)), 13, string(offset)), 14, 1)
	numbers := str(tensor("numbers", 7, 2), 7, "\x01\x02")
	texts := str(tensor("texts", 8, 1), 6, "a")
	input := str(nil, 1, "x")
	graph := str(nil, 1, string(str(nil, 4, "Add")))
	for _, t := range [][]byte{inside, outside, numbers, texts} {
		graph = str(graph, 5, string(t))
	}
	graph = str(str(graph, 11, string(input)), 11, string(str(nil, 1, "inside")))
	return str(str(str(num(nil, 1, 3), 2, "maker"), 8, string(num(nil, 2, 9))), 7, string(graph))
}

func TestONNXFacts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	data := make([]byte, 16)
	for _, folder := range []string{"", "onnx/"} {
		files := memory(map[string][]byte{folder + "model.onnx": onnxFile("data.bin"), folder + "data.bin": data})
		if folder == "" {
			files = memory(map[string][]byte{"model.onnx": onnxFile("model.onnx_data"), "model.onnx_data": data})
		}
		f, err := Inspect(ctx, files)
		if err != nil {
			t.Fatal(err)
		}
		want := &GraphFacts{
			IRVersion: 3, Opsets: []OpsetFact{{"ai.onnx", 9}}, Producer: "maker", Inputs: []ValueFact{{"x", "?"}}, Outputs: []ValueFact{},
			Nodes: 1, Operators: []OperatorFact{{"Add", 1}},
		}
		if d := cmp.Diff(want, f.Graph); d != "" || f.Format != "onnx" || f.Parameters != 7 || len(f.Tensors) != 3 {
			t.Errorf("%s, %+v", d, f)
		}
		if f.Runnable || f.Unsupported != "unsupported file format: ONNX graphs are read, not run" {
			t.Error(f.Unsupported)
		}
		var scans []string
		err = ScanTensors(ctx, files, func(s TensorScan) error {
			scans = append(scans, fmt.Sprint(s.Name, " ", s.NaN, " ", s.Zero, " ", s.Skipped != ""))
			return nil
		})
		if d := cmp.Diff([]string{"inside 1 0 false", "outside 0 3 false", "numbers 0 0 true"}, scans); err != nil || d != "" {
			t.Error(d, err)
		}
	}
	for name, files := range map[string]Files{
		"missing":   memory(map[string][]byte{"model.onnx": onnxFile("data.x")}),
		"too short": memory(map[string][]byte{"model.onnx": onnxFile("data.x"), "data.x": data[1:]}),
	} {
		var bad *MalformedError
		if _, err := Inspect(ctx, files); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestONNXAgreesWithSafetensors finds each weight of a graph, whatever the exporter calls it and whether it has transposed it,
// among those of the same model in the other format.
func TestONNXAgreesWithSafetensors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	folder := shared.Path(t, "tiny-bert")
	type values struct {
		elements, zero int64
		min, max       float64
	}
	count := func(name string, each func(name string, v values)) {
		files, err := OpenPath(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		err = ScanTensors(ctx, files, func(s TensorScan) error {
			each(s.Name, values{s.Elements, s.Zero, s.Min, s.Max})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	known := map[values]bool{}
	count("model.safetensors", func(_ string, v values) { known[v] = true })
	found := 0
	count("model.onnx", func(name string, v values) {
		if !known[v] {
			t.Errorf("%s has values %+v, which no tensor of the safetensors file has", name, v)
		}
		found++
	})
	if found != 53 {
		t.Errorf("%d tensors", found)
	}
}
