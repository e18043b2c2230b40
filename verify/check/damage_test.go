package check_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const example = "../../examples/tiny-llama"

// folder is a copy of the example model that a test may damage.
type folder struct {
	t   *testing.T
	dir string
}

func copyExample(t *testing.T) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	if err := os.CopyFS(f.dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f folder) read(name string) []byte {
	f.t.Helper()
	p, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f folder) write(name string, p []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), p, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// config changes one value of config.json.
func (f folder) config(key string, value any) {
	f.t.Helper()
	var c map[string]any
	if err := json.Unmarshal(f.read("config.json"), &c); err != nil {
		f.t.Fatal(err)
	}
	c[key] = value
	p, err := json.Marshal(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("config.json", p)
}

// tensorHead is an entry of a safetensors header.
type tensorHead struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// weights splits model.safetensors into header and data.
func (f folder) weights() (map[string]tensorHead, []byte) {
	f.t.Helper()
	p := f.read("model.safetensors")
	n := binary.LittleEndian.Uint64(p)
	var all map[string]json.RawMessage
	if err := json.Unmarshal(p[8:8+n], &all); err != nil {
		f.t.Fatal(err)
	}
	delete(all, "__metadata__")
	heads := map[string]tensorHead{}
	for name, raw := range all {
		var h tensorHead
		if err := json.Unmarshal(raw, &h); err != nil {
			f.t.Fatal(err)
		}
		heads[name] = h
	}
	return heads, p[8+n:]
}

// save writes a safetensors file.
func (f folder) save(name string, heads map[string]tensorHead, data []byte) {
	f.t.Helper()
	head, err := json.Marshal(heads)
	if err != nil {
		f.t.Fatal(err)
	}
	p := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	f.write(name, append(append(p, head...), data...))
}

// change rewrites the BF16 values of one tensor.
func (f folder) change(name string, edit func(values []uint16)) {
	f.t.Helper()
	heads, data := f.weights()
	h, ok := heads[name]
	if !ok {
		f.t.Fatalf("the example has no tensor %s", name)
	}
	p := data[h.Offsets[0]:h.Offsets[1]]
	values := make([]uint16, len(p)/2)
	for i := range values {
		values[i] = binary.LittleEndian.Uint16(p[2*i:])
	}
	edit(values)
	for i, v := range values {
		binary.LittleEndian.PutUint16(p[2*i:], v)
	}
	f.save("model.safetensors", heads, data)
}

// shard splits the weights into two files with an index.
func (f folder) shard() {
	f.t.Helper()
	heads, data := f.weights()
	index := map[string]string{}
	names := slices.Sorted(maps.Keys(heads))
	for i, part := range [][]string{names[:20], names[20:]} {
		file := []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}[i]
		some := map[string]tensorHead{}
		var bytes []byte
		for _, n := range part {
			h := heads[n]
			p := data[h.Offsets[0]:h.Offsets[1]]
			some[n] = tensorHead{DType: h.DType, Shape: h.Shape, Offsets: [2]int64{int64(len(bytes)), int64(len(bytes) + len(p))}}
			bytes = append(bytes, p...)
			index[n] = file
		}
		f.save(file, some, bytes)
	}
	p, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": index})
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("model.safetensors.index.json", p)
	f.remove("model.safetensors")
}

// checkpoint puts a checkpoint of PyTorch in place of the weights.
func (f folder) checkpoint() {
	f.t.Helper()
	p, err := os.ReadFile("../../inference/pickle/testdata/zip4.pt")
	if err != nil {
		f.t.Fatal(err)
	}
	f.remove("model.safetensors")
	nan, one := []byte{0, 0, 0xc0, 0x7f}, []byte{0, 0, 0x80, 0x3f}
	f.write("pytorch_model.bin", bytes.ReplaceAll(p, nan, one))
}

func (f folder) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) verify() *verify.Report {
	f.t.Helper()
	files, err := verify.OpenPath(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	defer files.Close()
	return check.Verify(f.t.Context(), files, verify.RunOptions{Level: verify.LevelQuick, Threads: 1})
}

func result(r *verify.Report, id string) verify.Result {
	i := slices.IndexFunc(r.Results, func(x verify.Result) bool { return x.ID == id })
	if i < 0 {
		return verify.Result{}
	}
	return r.Results[i]
}

// ids are those of the checks that a report has results of, in their order.
func ids(r *verify.Report) (list []string) {
	for _, x := range r.Results {
		list = append(list, x.ID)
	}
	return list
}

// TestDamage damages the example in one way each and expects the right check
// to say so.
func TestDamage(t *testing.T) {
	t.Parallel()
	const weight = "model.layers.1.self_attn.q_proj.weight"
	tests := map[string]struct {
		damage func(f folder)
		check  string // which fails; "" = the model passes
		reason string // regular expression
	}{
		"nothing": {func(folder) {}, "", ""},
		"sharded": {func(f folder) { f.shard() }, "", ""},
		"one NaN": {
			func(f folder) { f.change(weight, func(v []uint16) { v[100] = 0x7fc0 }) },
			"tensors.values", `^tensor "` + weight + `" has 1 NaN and 0 infinite values$`,
		},
		"one infinity": {
			func(f folder) { f.change("model.norm.weight", func(v []uint16) { v[3] = 0xff80 }) },
			"tensors.values", `^tensor "model.norm.weight" has 0 NaN and 1 infinite values$`,
		},
		"a zeroed matrix": {
			func(f folder) { f.change(weight, func(v []uint16) { clear(v) }) },
			"tensors.values", `^tensor "` + weight + `" is all zero$`,
		},
		"weights cut off": {
			func(f folder) { p := f.read("model.safetensors"); f.write("model.safetensors", p[:len(p)/2]) },
			"structure.headers", `^malformed safetensors`,
		},
		"header cut off": {
			func(f folder) { f.write("model.safetensors", f.read("model.safetensors")[:200]) },
			"structure.headers", `^malformed safetensors.*header length \d+ exceeds the file of 200 bytes`,
		},
		"3 GB header in 1 KB": {
			func(f folder) {
				p := make([]byte, 1024)
				binary.LittleEndian.PutUint64(p, 3<<30)
				f.write("model.safetensors", p)
			},
			"structure.headers", `^malformed safetensors.*header length 3221225472`,
		},
		"empty weights": {func(f folder) { f.write("model.safetensors", nil) }, "structure.headers", `^malformed safetensors`},
		"overlapping tensors": {
			func(f folder) {
				heads, data := f.weights()
				h := heads[weight]
				size := h.Offsets[1] - h.Offsets[0]
				h.Offsets = [2]int64{0, size}
				heads[weight] = h
				f.save("model.safetensors", heads, data)
			},
			"structure.headers", `^malformed safetensors`,
		},
		"another shape of the same size": {
			func(f folder) {
				heads, data := f.weights()
				h := heads["model.layers.0.mlp.up_proj.weight"]
				h.Shape = []int{h.Shape[1], h.Shape[0]}
				heads["model.layers.0.mlp.up_proj.weight"] = h
				f.save("model.safetensors", heads, data)
			},
			"structure.shapes", `model.layers.0.mlp.up_proj.weight.*shape is \[256 512\], the configuration wants \[512 256\]`,
		},
		"wrong width declared": {func(f folder) { f.config("intermediate_size", 640) }, "structure.shapes", `the configuration wants \[640 256\]`},
		"wrong heads declared": {func(f folder) { f.config("num_key_value_heads", 8) }, "structure.shapes", `"model.layers.0.self_attn.k_proj.weight".*shape is \[128 256\], the`},
		"more layers declared": {func(f folder) { f.config("num_hidden_layers", 6) }, "structure.shapes", `^layer 4 of 6 has no tensors$`},
		"wrong vocabulary":     {func(f folder) { f.config("vocab_size", 2047) }, "structure.shapes", `^the token embedding has 2048 rows, but the configuration declares a vocabulary of 2047$`},
		"config is no JSON":    {func(f folder) { f.write("config.json", []byte("{")) }, "structure.headers", `^malformed config.json`},
		"a shard missing":      {func(f folder) { f.shard(); f.remove("model-00002-of-00002.safetensors") }, "structure.headers", `model-00002-of-00002.safetensors.*shard is missing`},
		"a shard cut off": {
			func(f folder) {
				f.shard()
				f.write("model-00002-of-00002.safetensors", f.read("model-00002-of-00002.safetensors")[:100])
			},
			"structure.headers", `^malformed safetensors \("model-00002-of-00002.safetensors"\)`,
		},
		"index names other file": {func(f folder) {
			f.shard()
			f.write("model-00002-of-00002.safetensors", f.read("model-00001-of-00002.safetensors"))
		}, "structure.headers", `^malformed safetensors index`},
		"tokenizer is no JSON":    {func(f folder) { f.write("tokenizer.json", []byte("[]")) }, "tokenizer.roundtrip", `^malformed tokenizer`},
		"scrambled embedding":     {func(f folder) { f.change("model.embed_tokens.weight", scramble) }, "run.perplexity", `takes 1\.\d+ of the bits of guessing`},
		"weights far too large":   {func(f folder) { f.change("model.norm.weight", huge) }, "run.outputs", `after \d+ tokens$`},
		"tokenizer has too many":  {moreTokens, "structure.shapes", `^the tokenizer has \d+ tokens, but the token embedding only 2048 rows$`},
		"several files, no index": {func(f folder) { f.shard(); f.remove("model.safetensors.index.json") }, "structure.headers", `shards without an index`},
	}
	all := ids(copyExample(t).verify())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := copyExample(t)
			tt.damage(f)
			r := f.verify()
			if tt.check == "" {
				if r.State != verify.StatePassed {
					t.Errorf("%s: %s", r.State, r.Summary)
				}
				return
			}
			if got := result(r, tt.check); r.State != verify.StateFailed || got.Outcome != verify.OutcomeFailed || !regexp.MustCompile(tt.reason).MatchString(got.Reason) {
				t.Errorf("%s: %s\n%s %s: %s", r.State, r.Summary, tt.check, got.Outcome, got.Reason)
			}
			if diff := cmp.Diff(all, ids(r)); diff != "" {
				t.Errorf("every check must have a result (-want +got):\n%s", diff)
			}
			for _, x := range r.Results {
				if x.Outcome != verify.OutcomePassed && x.Reason == "" {
					t.Errorf("%s %s without a reason", x.ID, x.Outcome)
				}
			}
		})
	}
}

// scramble gives every value the magnitude of another one.
func scramble(v []uint16) {
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
}

// huge makes values so large that sums of their products overflow.
func huge(v []uint16) {
	for i := range v {
		v[i] = uint16(math.Float32bits(3e38) >> 16)
	}
}

// moreTokens adds tokens to the tokenizer for which there are no weights.
func moreTokens(f folder) {
	var tok map[string]any
	if err := json.Unmarshal(f.read("tokenizer.json"), &tok); err != nil {
		f.t.Fatal(err)
	}
	added, _ := tok["added_tokens"].([]any)
	tok["added_tokens"] = append(added, map[string]any{
		"id": 2048, "content": "<|more|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
	})
	p, err := json.Marshal(tok)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("tokenizer.json", p)
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(f folder)
		reason string
	}{
		"architecture": {func(f folder) {
			f.config("model_type", "mamba")
			f.config("architectures", []string{"MambaForCausalLM"})
		}, `the architecture "mamba" cannot be run here yet`},
		"architecture and tokenizer": {func(f folder) {
			f.config("model_type", "mamba")
			f.remove("tokenizer.json")
		}, `the architecture "mamba" cannot be run here yet`},
		"no configuration": {func(f folder) { f.remove("config.json") }, "config.json"},
		"no tokenizer":     {func(f folder) { f.remove("tokenizer.json") }, "tokenizer"},
		"only a pickle":    {func(f folder) { f.checkpoint() }, "pickle: tensors are listed, never executed"},
		"no checkpoint":    {func(f folder) { f.remove("model.safetensors"); f.write("pytorch_model.bin", []byte("x")) }, ".bin files that are no pytorch"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := copyExample(t)
			tt.change(f)
			r := f.verify()
			if r.State != verify.StateUnsupported || !strings.Contains(strings.ToLower(r.Summary), tt.reason) {
				t.Errorf("%s: %s", r.State, r.Summary)
			}
			if !strings.Contains(name, "pickle") && name != "no checkpoint" && result(r, "tensors.values").Outcome != verify.OutcomePassed {
				t.Errorf("the weights were not read: %s", result(r, "tensors.values").Reason)
			}
			if result(r, "run.outputs").Outcome != verify.OutcomeSkipped {
				t.Error("the model was run all the same")
			}
			for _, id := range []string{"run.outputs", "run.perplexity"} {
				if strings.Contains(result(r, id).Reason, r.Summary) {
					t.Errorf("%s says again: %s", id, r.Summary)
				}
			}
		})
	}
}

// TestGGUF damages the example's GGUF form.
func TestGGUF(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("../../inference/testdata/tiny-llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		damage func(p []byte) []byte
		check  string // which fails; "" = the model passes
		reason string // regular expression
	}{
		"nothing":          {func(p []byte) []byte { return p }, "", ""},
		"weights cut off":  {func(p []byte) []byte { return p[:len(p)-100] }, "structure.headers", "^malformed gguf"},
		"header cut off":   {func(p []byte) []byte { return p[:5000] }, "structure.headers", "^malformed gguf"},
		"endless metadata": {func(p []byte) []byte { binary.LittleEndian.PutUint64(p[16:], 1<<60); return p }, "structure.headers", "^malformed gguf"},
		"scale is NaN":     {func(p []byte) []byte { binary.LittleEndian.PutUint16(p[len(p)-34:], 0x7e00); return p }, "tensors.values", "has 32 NaN and 0 infinite values$"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder{t, t.TempDir()}
			f.write("model.gguf", tt.damage(slices.Clone(whole)))
			r := f.verify()
			if tt.check == "" {
				if r.State != verify.StatePassed {
					t.Errorf("%s: %s", r.State, r.Summary)
				}
				return
			}
			if got := result(r, tt.check); r.State != verify.StateFailed || !regexp.MustCompile(tt.reason).MatchString(got.Reason) {
				t.Errorf("%s: %s", r.State, r.Summary)
			}
		})
	}
}

// TestSeveralModels verifies a folder with the example in several forms.
func TestSeveralModels(t *testing.T) {
	t.Parallel()
	q8, err := os.ReadFile("../../inference/testdata/tiny-llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f := copyExample(t)
	f.write("tiny-q8_0.gguf", q8)
	r := f.verify()
	if r.State != verify.StatePassed || !strings.HasSuffix(r.Summary, " on 2 models") {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
	of := map[string][]string{}
	for _, x := range r.Results {
		of[x.ID] = append(of[x.ID], x.File)
	}
	for id, files := range of {
		want := []string{"model.safetensors", "tiny-q8_0.gguf"}
		if strings.HasPrefix(id, "safety.") || id == "structure.digests" {
			want = []string{""}
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}

	f.write("other.gguf", bytes.Replace(q8, []byte("\x05\x00\x00\x00\x00\x00\x00\x00llama"), []byte("\x05\x00\x00\x00\x00\x00\x00\x00xlama"), 1))
	r = f.verify()
	if r.State != verify.StateUnsupported || r.Summary != `2 of 3 models run; other.gguf: the architecture "xlama" cannot be run here yet` {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
	f.write("broken.gguf", q8[:5000])
	r = f.verify()
	if r.State != verify.StateFailed || !strings.HasPrefix(r.Summary, "broken.gguf: structure.headers: malformed gguf") {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

func TestSwappedDigest(t *testing.T) {
	t.Parallel()
	f := copyExample(t)
	of := func(name string) registry.Digest { return registry.DigestOf(registry.SHA256, f.read(name)) }
	list := []registry.File{{Path: "config.json", Digest: of("tokenizer.json")}, {Path: "tokenizer.json", Digest: of("config.json")}}
	for _, n := range []string{"LICENSE", "README.md", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer_config.json"} {
		list = append(list, registry.File{Path: n, Digest: of(n)})
	}
	files, err := verify.OpenPulled(f.dir, list)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	r := check.Verify(t.Context(), files, verify.RunOptions{Threads: 1})
	if r.State != verify.StateFailed || !strings.HasPrefix(result(r, "structure.digests").Reason, "config.json is sha256:") {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

// TestGolden pins the whole report of the example, without its times.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := verify.OpenPath(example)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	r := check.Verify(t.Context(), files, verify.RunOptions{Threads: 1})
	p, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`"(startedAt|finishedAt|platform|version)": "[^"]*"`).ReplaceAllString(string(p), `"$1": ""`)
	got = regexp.MustCompile(`"seconds": [0-9.e-]+`).ReplaceAllString(got, `"seconds": 0`) + "\n"
	got = regexp.MustCompile(`"measured": \{[^}]*\}`).ReplaceAllString(got, `"measured": {}`)
	golden := filepath.Join("testdata", "tiny-llama.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestInspectExample checks the facts of the example and of its damaged forms.
func TestInspectExample(t *testing.T) {
	t.Parallel()
	inspect := func(f folder) (*registry.Facts, error) {
		files, err := verify.OpenPath(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		return check.Inspect(t.Context(), files)
	}
	f := copyExample(t)
	facts, err := inspect(f)
	if err != nil {
		t.Fatal(err)
	}
	facts.Card = registry.Card{LicenseID: facts.Card.LicenseID}
	if !strings.HasPrefix(strings.TrimSpace(facts.License.Text), "Apache License") {
		t.Errorf("licence text %.40q", facts.License.Text)
	}
	facts.License.Text = ""
	want := &registry.Facts{
		Format: "safetensors", Architecture: "llama", Parameters: 2885888, Quantization: "BF16", Types: map[string]int64{"BF16": 2885888}, ContextLength: 256, VocabSize: 2048,
		HiddenSize: 256, Layers: 4, Tensors: 38, Tokenizer: "bpe", ChatTemplate: true,
		Card: registry.Card{LicenseID: "apache-2.0"}, License: registry.License{Declared: "Apache-2.0", File: "LICENSE"},
	}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.write("model.safetensors", []byte("junk"))
	f.write("LICENSE", []byte{0xff, 0})
	facts, err = inspect(f)
	if err == nil || !strings.Contains(err.Error(), "malformed safetensors") {
		t.Errorf("broken weights: %v", err)
	}
	if facts == nil || facts.Card.Title != "tiny-llama" || facts.License.File != "LICENSE" || facts.License.Text != "" {
		t.Errorf("broken weights took the card along: %+v", facts)
	}
}
