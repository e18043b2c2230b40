package inference

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/inference/tensor"
)

// listOf joins n items that item writes.
func listOf(before string, n int, item, after string) []byte {
	var b strings.Builder
	b.WriteString(before)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		if strings.Contains(item, "%") {
			fmt.Fprintf(&b, item, i)
		} else {
			b.WriteString(item)
		}
	}
	b.WriteString(after)
	return []byte(b.String())
}

// withLength puts the length of a safetensors header before it, and data behind.
func withLength(header []byte, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// manyGGUF is a file with as many tensors without elements.
func manyGGUF(t *testing.T, tensors, keys int) []byte {
	var w gguf.Writer
	w.Set("general.architecture", "llama")
	for i := range keys {
		w.Set(fmt.Sprintf("%x", i), uint32(1))
	}
	for i := range tensors {
		w.Add(fmt.Sprintf("%x", i), tensor.F32, []int{0}, nil)
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manyONNX is a graph with as many scalars.
func manyONNX(n int) []byte {
	field := func(m []byte, f protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(m, f, protowire.BytesType), b)
	}
	var graph []byte
	for i := range n {
		t := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 2)
		graph = field(graph, 5, field(field(t, 8, fmt.Appendf(nil, "%x", i)), 9, []byte{0}))
	}
	return field(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 8), 7, graph)
}

// TestReadersAllocateLittle: looking into files, sane or not, allocates less than twice their size and 16 MiB.
func TestReadersAllocateLittle(t *testing.T) {
	// Not parallel: it measures what the whole process allocates.
	const config = `{"architectures":["LlamaForCausalLM"],"model_type":"llama"}`
	empty := `"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`
	one := withLength([]byte(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`), 1)
	for name, c := range map[string]struct {
		files map[string][]byte
		fine  bool
	}{
		"safetensors":                 {map[string][]byte{weightsName: withLength(listOf("{", 1<<15, empty, "}"), 0), configName: []byte(config)}, true},
		"too many tensors":            {map[string][]byte{weightsName: withLength(listOf("{", 1<<18, empty, "}"), 0)}, false},
		"too much metadata":           {map[string][]byte{weightsName: withLength(listOf(`{"__metadata__":{`, 1<<20, `"%x":""`, "}}"), 0)}, false},
		"a long name":                 {map[string][]byte{weightsName: withLength([]byte(`{"`+strings.Repeat("a", 20<<20)+`":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`), 0)}, true},
		"a long shape":                {map[string][]byte{weightsName: withLength([]byte(`{"a":{"dtype":"U8","shape":[`+strings.Repeat("1,", 8<<20)+`1],"data_offsets":[0,1]}}`), 1)}, false},
		"index":                       {map[string][]byte{safetensors.IndexName: listOf(`{"weight_map":{`, 1<<16, `"%x":"model.safetensors"`, "}}"), weightsName: one}, false},
		"too long an index":           {map[string][]byte{safetensors.IndexName: listOf(`{"weight_map":{`, 1<<20, `"%x":"a"`, "}}"), "a": one}, false},
		"an index of other things":    {map[string][]byte{safetensors.IndexName: listOf(`{"a":[`, 8<<20, `{}`, `],"weight_map":{"a":"model.safetensors"}}`), weightsName: one}, true},
		"GGUF":                        {map[string][]byte{"a.gguf": manyGGUF(t, 1<<15, 100)}, true},
		"GGUF with too many tensors":  {map[string][]byte{"a.gguf": manyGGUF(t, gguf.MaxTensors, 100)}, false},
		"GGUF with many keys":         {map[string][]byte{"a.gguf": manyGGUF(t, 1, gguf.MaxKeys-1)}, true},
		"ONNX":                        {map[string][]byte{"a.onnx": manyONNX(8000)}, true},
		"ONNX with too many tensors":  {map[string][]byte{"a.onnx": manyONNX(1 << 16)}, false},
		"config.json of many numbers": {map[string][]byte{configName: listOf(`{"a":[`, 3<<20, "1", "]}"), weightsName: one}, false},
		"config.json of many objects": {map[string][]byte{configName: listOf(`{"a":[`, 2<<20, "{}", "]}"), weightsName: one}, false},
		"config.json of many keys":    {map[string][]byte{configName: listOf(`{`, maxConfigValues-1, `"%x":0`, "}"), weightsName: one}, true},
		"config.json of depth":        {map[string][]byte{configName: []byte(strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)), weightsName: one}, true},
		"config.json of one text":     {map[string][]byte{configName: []byte(`{"a":"` + strings.Repeat("x", 8<<20-100) + `"}`), weightsName: one}, true},
		"tokenizer_config.json":       {map[string][]byte{tokenizerConfigName: listOf(`{"a":[`, 2<<20, "{}", "]}"), weightsName: one}, false},
	} {
		size := 0
		for _, b := range c.files {
			size += len(b)
		}
		var before, after runtime.MemStats
		files := memory(c.files)
		runtime.ReadMemStats(&before)
		_, err := Inspect(context.Background(), files)
		runtime.ReadMemStats(&after)
		if used, limit := int(after.TotalAlloc-before.TotalAlloc), 2*size+16<<20; used > limit {
			t.Errorf("%s: %d bytes allocated for files of %d, more than %d", name, used, size, limit)
		}
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTransposedMatricesTakeTheirSize: matrices that a folder stores with their inputs first are turned around in memory, in their
// own type.
func TestTransposedMatricesTakeTheirSize(t *testing.T) {
	// Not parallel: it measures what the whole process allocates.
	const hidden, layers = 256, 4
	config := fmt.Sprintf(`{"architectures":["GPT2LMHeadModel"],"model_type":"gpt2","n_embd":%d,"n_layer":%d,"n_head":4,"n_positions":16,"vocab_size":64}`, hidden, layers)
	var header strings.Builder
	at := 0
	add := func(name string, shape ...int) {
		n, _ := tensor.Elements(shape)
		sep := ","
		if at == 0 {
			sep = "{"
		}
		fmt.Fprintf(&header, `%s"%s":{"dtype":"F16","shape":%s,"data_offsets":[%d,%d]}`, sep, name, strings.ReplaceAll(fmt.Sprint(shape), " ", ","), at, at+2*int(n))
		at += 2 * int(n)
	}
	add("wte.weight", 64, hidden)
	add("wpe.weight", 16, hidden)
	for _, n := range []string{"ln_f.weight", "ln_f.bias"} {
		add(n, hidden)
	}
	for l := range layers {
		p := fmt.Sprintf("h.%d.", l)
		for _, n := range []string{"ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"} {
			add(p+n, hidden)
		}
		for name, shape := range map[string][2]int{
			"attn.c_attn": {hidden, 3 * hidden}, "attn.c_proj": {hidden, hidden}, "mlp.c_fc": {hidden, 4 * hidden}, "mlp.c_proj": {4 * hidden, hidden},
		} {
			add(p+name+".weight", shape[0], shape[1])
			add(p+name+".bias", shape[1])
		}
	}
	b := withLength([]byte(header.String()+"}"), at)
	files := memory(map[string][]byte{configName: []byte(config), weightsName: b})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Open(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	defer m.Close()
	// Once as it is read, once turned around.
	if used, limit := int(after.TotalAlloc-before.TotalAlloc), 2*len(b)+1<<20; used > limit {
		t.Errorf("%d bytes allocated for a file of %d, more than %d", used, len(b), limit)
	}
}
