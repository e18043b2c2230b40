package verify_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// model is the content of a model's files by their paths.
type model map[string][]byte

func (m model) clone() model {
	c := model{}
	for name, p := range m {
		c[name] = slices.Clone(p)
	}
	return c
}

// files opens the model: every other file as one on disk, which a child maps,
// the rest as ranges that it reads through its parent.
func (m model) files(t *testing.T) verify.Files {
	t.Helper()
	var list verify.Files
	for i, name := range slices.Sorted(maps.Keys(m)) {
		p := m[name]
		if i%2 == 0 {
			list = append(list, verify.NewFile(name, int64(len(p)), registry.Digest{}, bytes.NewReader(p)))
			continue
		}
		f, err := os.CreateTemp(t.TempDir(), "file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		one, err := verify.OpenFile(name, registry.Digest{}, f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
	return list
}

// safetensorsOf writes tensors of float32, which are given by their shapes.
func safetensorsOf(r *rand.Rand, shapes map[string][]int) []byte {
	type head struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	heads := map[string]head{}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		begin, n := len(data), 1
		for _, d := range shapes[name] {
			n *= d
		}
		for range n {
			v := float32(r.NormFloat64() * 0.1)
			if len(shapes[name]) == 1 {
				v++
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		heads[name] = head{"F32", shapes[name], [2]int{begin, len(data)}}
	}
	p, err := json.Marshal(heads)
	if err != nil {
		panic(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(p))), p...), data...)
}

// soundModels are small models of several formats that are in order, but
// untrained.
func soundModels(t *testing.T) map[string]model {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	read := func(name string) []byte {
		p, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	layer := func(shapes map[string][]int, prefix string) {
		for _, n := range []string{"input_layernorm", "post_attention_layernorm"} {
			shapes[prefix+n+".weight"] = []int{32}
		}
		for _, n := range []string{"q_proj", "k_proj", "v_proj", "o_proj"} {
			shapes[prefix+"self_attn."+n+".weight"] = []int{32, 32}
		}
		shapes[prefix+"mlp.gate_proj.weight"], shapes[prefix+"mlp.up_proj.weight"] = []int{64, 32}, []int{64, 32}
		shapes[prefix+"mlp.down_proj.weight"] = []int{32, 64}
	}
	outside := map[string][]int{"model.embed_tokens.weight": {2048, 32}, "model.norm.weight": {32}}
	inside := map[string][]int{}
	layer(inside, "model.layers.0.")
	all := map[string][]int{}
	for _, part := range []map[string][]int{outside, inside} {
		for n, s := range part {
			all[n] = s
		}
	}
	common := model{
		"config.json": []byte(`{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":32,"intermediate_size":64,` +
			`"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"vocab_size":2048,"max_position_embeddings":256,` +
			`"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":2,` +
			`"rope_scaling":{"rope_type":"linear","factor":2.0},"torch_dtype":"float32"}`),
		"tokenizer.json": read("../examples/tiny-llama/tokenizer.json"),
		"tokenizer_config.json": []byte(`{"chat_template":"{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",` +
			`"bos_token":"<s>","eos_token":"</s>","model_max_length":256}`),
		"README.md": []byte("---\nlicense: apache-2.0\nlanguage: [en]\ntags: [a, b]\n---\n# Small\n\nWords.\n"),
		"LICENSE":   []byte("Apache License\nVersion 2.0\n"),
	}
	whole := common.clone()
	whole["model.safetensors"] = safetensorsOf(r, all)

	dir := t.TempDir()
	for name, p := range whole {
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gguf := filepath.Join(dir, "model.gguf")
	quantize(t, dir, gguf)

	sharded := common.clone()
	sharded["model-00001-of-00002.safetensors"], sharded["model-00002-of-00002.safetensors"] = safetensorsOf(r, outside), safetensorsOf(r, inside)
	weights := map[string]string{}
	for n := range outside {
		weights[n] = "model-00001-of-00002.safetensors"
	}
	for n := range inside {
		weights[n] = "model-00002-of-00002.safetensors"
	}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": weights})
	if err != nil {
		t.Fatal(err)
	}
	sharded["model.safetensors.index.json"] = index

	pickled := common.clone()
	pickled["pytorch_model.bin"] = read("../inference/pickle/testdata/zip4.pt")
	adapter := model{
		"adapter_config.json": []byte(`{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj"],"base_model_name_or_path":"org/base","task_type":"CAUSAL_LM"}`),
		"adapter_model.safetensors": safetensorsOf(r, map[string][]int{
			"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": {4, 32},
			"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": {32, 4},
		}),
	}
	return map[string]model{
		"folder": whole, "gguf": {"model.gguf": read(gguf)}, "shards": sharded, "pickle": pickled, "adapter": adapter,
		"tokenizer": {"tokenizer.json": common["tokenizer.json"], "tokenizer_config.json": common["tokenizer_config.json"]},
		"onnx":      {"model.onnx": onnx(), "config.json": common["config.json"]},
	}
}

func quantize(t *testing.T, dir, out string) {
	t.Helper()
	files, err := inference.OpenPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := inference.Quantize(t.Context(), files, &b, inference.QuantizeOptions{Type: "q8_0", Name: "small"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// field is one field of a protocol buffer with bytes in it.
func field(number int, p []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(number<<3|2))
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// onnx is a graph of one initializer and one node.
func onnx() []byte {
	tensor := slices.Concat([]byte{8, 2, 8, 2, 16, 1}, field(8, []byte("w")), field(9, make([]byte, 16))) // dims 2 and 2, float
	node := slices.Concat(field(1, []byte("x")), field(1, []byte("w")), field(2, []byte("y")), field(4, []byte("MatMul")))
	graph := slices.Concat(field(1, node), field(2, []byte("g")), field(5, tensor))
	return slices.Concat([]byte{8, 8}, field(8, []byte{16, 17}), field(7, graph)) // IR version 8, opset 17
}

// words are what numbers and strings are replaced with.
var words = []any{
	-1, 0, 1, 2, 3, 7, 1 << 31, 1<<31 - 1, 1 << 32, 1 << 53, 1e18, 1e308, -1e308, 1e-320, 0.5, "", "x", nil, true,
	[]any{},
	map[string]any{},
	strings.Repeat("a", 1<<16), "\x00\u202e", "../../etc/passwd", "{{ 1 }}", "{% for i in range(999999999) %}x{% endfor %}",
	"(a+)+$", "((((((((((((((((((((", "__import__('os').system('id')",
}

// twistJSON replaces some values somewhere in a document.
func twistJSON(r *rand.Rand, p []byte) []byte {
	var v any
	if json.Unmarshal(p, &v) != nil {
		return flip(r, p)
	}
	for range 1 + r.IntN(3) {
		v = twist(r, v, 0)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return p
	}
	return out
}

func twist(r *rand.Rand, v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) > 0 && r.IntN(8) > 0 {
			k := keys[r.IntN(len(keys))]
			if r.IntN(10) == 0 {
				delete(v, k)
			} else {
				v[k] = twist(r, v[k], depth+1)
			}
			return v
		}
	case []any:
		if len(v) > 0 && r.IntN(8) > 0 {
			i := r.IntN(len(v))
			v[i] = twist(r, v[i], depth+1)
			return v
		}
	}
	if r.IntN(20) == 0 {
		return json.RawMessage(strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000))
	}
	return words[r.IntN(len(words))]
}

// numbers are what eight bytes somewhere are replaced with.
var numbers = []uint64{0, 1, 2, 31, 1 << 16, 1 << 31, 1<<31 - 1, 1 << 32, 1 << 40, 1 << 53, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 32, 0x7ff8000000000000}

// flip damages bytes: a number in the first few thousand, a cut, a hole, a tail.
func flip(r *rand.Rand, p []byte) []byte {
	p = slices.Clone(p)
	if len(p) < 16 {
		return append(p, make([]byte, r.IntN(100))...)
	}
	near := min(len(p)-8, 4096)
	switch r.IntN(8) {
	case 0:
		return p[:r.IntN(len(p))]
	case 1:
		return append(p, bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(5000))...)
	case 2:
		at := r.IntN(len(p))
		clear(p[at:min(len(p), at+1+r.IntN(4096))])
	case 3:
		at := r.IntN(near)
		return slices.Concat(p[:at], p[at+1+r.IntN(7):])
	case 4, 5:
		binary.LittleEndian.PutUint32(p[r.IntN(near):], uint32(numbers[r.IntN(len(numbers))]))
	default:
		for range 1 + r.IntN(4) {
			binary.LittleEndian.PutUint64(p[r.IntN(near):], numbers[r.IntN(len(numbers))])
		}
	}
	return p
}

// damaged is a model with some of its files changed.
func damaged(r *rand.Rand, m model) model {
	m = m.clone()
	names := slices.Sorted(maps.Keys(m))
	for range 1 + r.IntN(2) {
		n := names[r.IntN(len(names))]
		switch {
		case r.IntN(30) == 0:
			delete(m, n)
			m["moved/"+n] = nil
		case r.IntN(30) == 0:
			m[n] = m[names[r.IntN(len(names))]]
		case strings.HasSuffix(n, ".json"):
			m[n] = twistJSON(r, m[n])
		case strings.HasSuffix(n, ".safetensors") && r.IntN(2) == 0 && len(m[n]) > 8:
			size := binary.LittleEndian.Uint64(m[n])
			if size < uint64(len(m[n])-8) {
				head := twistJSON(r, m[n][8:8+size])
				m[n] = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head, m[n][8+size:])
			}
		default:
			m[n] = flip(r, m[n])
		}
	}
	return m
}

// crafted are models that were thought out, each against something that such
// programs have fallen to.
func crafted(sound map[string]model) map[string]model {
	folder, gguf := sound["folder"], sound["gguf"]["model.gguf"]
	with := func(m model, name string, p []byte) model {
		m = m.clone()
		m[name] = p
		return m
	}
	st := func(head string, data int) []byte {
		return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), []byte(head), make([]byte, data))
	}
	header := func(tensors, keys uint64, rest ...byte) []byte {
		p := append([]byte("GGUF"), 3, 0, 0, 0)
		p = binary.LittleEndian.AppendUint64(p, tensors)
		return append(binary.LittleEndian.AppendUint64(p, keys), rest...)
	}
	str := func(s string) []byte { return append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...) }
	u32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	u64 := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
	tensor := func(dims []uint64, kind uint32, offset uint64) []byte {
		p := slices.Concat(str("token_embd.weight"), u32(uint32(len(dims))))
		for _, d := range dims {
			p = append(p, u64(d)...)
		}
		return slices.Concat(p, u32(kind), u64(offset), make([]byte, 4096))
	}
	nested := slices.Concat(str("a"), u32(9))
	for range 5000 { // arrays of arrays
		nested = slices.Concat(nested, u32(9), u64(1))
	}
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	template := func(text string) []byte {
		p, err := json.Marshal(map[string]any{"chat_template": text, "bos_token": "<s>"})
		if err != nil {
			panic(err)
		}
		return p
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	list := map[string]model{
		"header larger than memory":  with(folder, "model.safetensors", append(u64(1<<62), make([]byte, 100)...)),
		"header of all the file":     with(folder, "model.safetensors", append(u64(92), make([]byte, 92)...)),
		"deep header":                with(folder, "model.safetensors", st(deep, 8)),
		"million tensors of nothing": with(folder, "model.safetensors", st("{"+strings.Repeat(`"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},`, 100_000)+`"u":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0)),
		"the same name twice":        with(folder, "model.safetensors", st(`{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)),
		"shape that wraps":           with(folder, "model.safetensors", st(`{"t":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}`, 0)),
		"negative shape":             with(folder, "model.safetensors", st(`{"t":{"dtype":"F32","shape":[-1,-4],"data_offsets":[0,16]}}`, 16)),
		"offsets backwards":          with(folder, "model.safetensors", st(`{"t":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4)),
		"unknown type":               with(folder, "model.safetensors", st(`{"t":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}}`, 16)),
		"hole":                       with(folder, "model.safetensors", st(`{"t":{"dtype":"F32","shape":[1],"data_offsets":[1000,1004]}}`, 1004)),
		"many dimensions":            with(folder, "model.safetensors", st(`{"t":{"dtype":"U8","shape":[`+strings.Repeat("1,", 50_000)+`1],"data_offsets":[0,1]}}`, 1)),
		"deep configuration":         with(folder, "config.json", []byte(deep)),
		"long configuration":         with(folder, "config.json", bytes.Repeat([]byte(" "), 40<<20)),
		"configuration of numbers":   with(folder, "config.json", []byte(`{"model_type":"llama","hidden_size":1e400}`)),
		"no heads":                   with(folder, "config.json", bytes.Replace(folder["config.json"], []byte(`"num_attention_heads":2`), []byte(`"num_attention_heads":0`), 1)),
		"endless layers":             with(folder, "config.json", bytes.Replace(folder["config.json"], []byte(`"num_hidden_layers":1`), []byte(`"num_hidden_layers":2000000000`), 1)),
		"context of all memory":      with(folder, "config.json", bytes.Replace(folder["config.json"], []byte(`"max_position_embeddings":256`), []byte(`"max_position_embeddings":9000000000000`), 1)),
		"deep tokenizer":             with(folder, "tokenizer.json", []byte(deep)),
		"tokenizer that backtracks":  with(folder, "tokenizer.json", bytes.Replace(folder["tokenizer.json"], []byte(`"pre_tokenizer":`), []byte(`"pre_tokenizer":{"type":"Split","pattern":{"Regex":"((a+)+)+$"},"behavior":"Isolated","invert":false},"was":`), 1)),
		"token of a gigabyte's id":   with(folder, "tokenizer.json", []byte(`{"model":{"type":"BPE","vocab":{"a":1000000000},"merges":[]},"added_tokens":[]}`)),
		"loop in a template":         with(folder, "tokenizer_config.json", template("{% for i in range(1000000000) %}{% for j in range(1000000000) %}x{% endfor %}{% endfor %}")),
		"template that grows":        with(folder, "tokenizer_config.json", template("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}")),
		"template that escapes":      with(folder, "tokenizer_config.json", template("{{ ''.__class__.__mro__[1].__subclasses__() }}")),
		"deep template":              with(folder, "tokenizer_config.json", template(strings.Repeat("{% if true %}", 20_000))),
		"deep expression":            with(folder, "tokenizer_config.json", template("{{ "+strings.Repeat("(", 50_000)+"1"+strings.Repeat(")", 50_000)+" }}")),
		"macro that calls itself":    with(folder, "tokenizer_config.json", template("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")),
		"index out of the folder":    with(sound["shards"], "model.safetensors.index.json", []byte(`{"weight_map":{"model.norm.weight":"../../../etc/passwd"}}`)),
		"index to a pickle":          with(sound["shards"], "model.safetensors.index.json", []byte(`{"weight_map":{"model.norm.weight":"pytorch_model.bin"}}`)),
		"aliases of aliases":         with(folder, "README.md", []byte("---\n"+bomb+"---\n# Bomb\n")),
		"licence of 50 MB":           with(folder, "LICENSE", bytes.Repeat([]byte("MIT "), 50<<18)),
		"card of 50 MB":              with(folder, "README.md", bytes.Repeat([]byte("# "), 25<<20)),
		"tensors without end":        {"model.gguf": header(1<<60, 0)},
		"keys without end":           {"model.gguf": header(0, 1<<60)},
		"both wrap":                  {"model.gguf": header(1<<64-1, 1<<64-1)},
		"string without end":         {"model.gguf": header(0, 1, u64(1<<63)...)},
		"array without end":          {"model.gguf": header(0, 1, slices.Concat(str("a"), u32(9), u32(4), u64(1<<61))...)},
		"array in arrays":            {"model.gguf": header(0, 1, nested...)},
		"no alignment":               {"model.gguf": header(0, 1, slices.Concat(str("general.alignment"), u32(4), u32(0))...)},
		"odd alignment":              {"model.gguf": header(0, 1, slices.Concat(str("general.alignment"), u32(4), u32(1<<31))...)},
		"dimensions that wrap":       {"model.gguf": header(1, 0, tensor([]uint64{1 << 32, 1 << 32}, 0, 0)...)},
		"too many dimensions":        {"model.gguf": header(1, 0, slices.Concat(str("t"), u32(1<<30))...)},
		"tensor past the end":        {"model.gguf": header(1, 0, tensor([]uint64{4}, 0, 1<<62)...)},
		"offset that wraps":          {"model.gguf": header(1, 0, tensor([]uint64{1 << 60}, 0, 1<<64-32)...)},
		"unknown block type":         {"model.gguf": header(1, 0, tensor([]uint64{32}, 4242, 0)...)},
		"rows that are no blocks":    {"model.gguf": header(1, 0, tensor([]uint64{33}, 8, 0)...)},
		"version from the future":    {"model.gguf": bytes.Replace(gguf, []byte("GGUF\x03"), []byte("GGUF\xff"), 1)},
		"the other byte order":       {"model.gguf": bytes.Replace(gguf, []byte("GGUF\x03\x00\x00\x00"), []byte("GGUF\x00\x00\x00\x03"), 1)},
		"empty":                      {"model.gguf": nil},
		"nothing at all":             {"a": nil},
		"message in messages":        {"model.onnx": bytes.Repeat([]byte{0x3a}, 100_000)},
		"graph in graphs": {"model.onnx": func() []byte {
			p := []byte{8, 8}
			for range 2000 {
				p = field(7, p)
			}
			return p
		}()},
		"pickle of the system":      with(sound["pickle"], "pytorch_model.bin", []byte("cos\nsystem\n(S'id'\ntR.")),
		"pickle that doubles":       with(sound["pickle"], "pytorch_model.bin", append([]byte("\x80\x02]q\x00"), bytes.Repeat([]byte("h\x00a"), 200_000)...)),
		"pickle of marks":           with(sound["pickle"], "pytorch_model.bin", append([]byte("\x80\x02"), bytes.Repeat([]byte("("), 1_000_000)...)),
		"pickle with a long string": with(sound["pickle"], "pytorch_model.bin", append([]byte("\x80\x04\x8d"), u64(1<<62)...)),
		"adapter of endless rank":   with(sound["adapter"], "adapter_config.json", []byte(`{"peft_type":"LORA","r":1000000000000,"lora_alpha":1e300,"target_modules":["q_proj"]}`)),
		"split of a thousand":       {"m-00001-of-99999.gguf": gguf, "m-99999-of-99999.gguf": gguf},
	}
	many := model{}
	for i := range 4000 {
		many["f"+strconv.Itoa(i)+".gguf"] = []byte("GGUF")
	}
	list["four thousand models"] = many
	return list
}
