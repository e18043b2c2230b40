package inference

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/internal/reference"
	"github.com/carat-hub/carat/inference/tensor"
)

func TestPooling(t *testing.T) {
	t.Parallel()
	states := []float32{1, -2, 3, 0, -1, 5}
	for p, want := range map[Pooling][]float32{PoolingMean: {1, 1}, PoolingCLS: {1, -2}, PoolingLast: {-1, 5}, PoolingMax: {3, 5}} {
		got := make([]float32, 2)
		if p.of(got, states); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", p, got, want)
		}
	}
	x := []float32{3, 4}
	normalize(x)
	zero := []float32{0, 0}
	normalize(zero)
	if math.Abs(float64(x[0])-0.6) > 1e-6 || math.Abs(float64(x[1])-0.8) > 1e-6 || zero[0] != 0 {
		t.Errorf("normalised to %v and %v", x, zero)
	}
	if got := Similarity([]float32{3, 4}, []float32{-4, 3}); got != 0 {
		t.Errorf("similarity of a right angle is %g", got)
	}
}

func TestRelativeBucket(t *testing.T) {
	t.Parallel()
	for distance := -200; distance <= 200; distance++ {
		if got, want := relativeBucket(distance, 32), reference.RelativeBucket(distance, 32, 128); got != want {
			t.Errorf("distance %d is in bucket %d, want %d", distance, got, want)
		}
	}
}

func modules(kinds ...string) []object {
	list := []object{{"path": "", "type": "sentence_transformers.models.Transformer"}}
	for i, k := range kinds {
		list = append(list, object{"path": fmt.Sprintf("%d_%s", i+1, k), "type": "sentence_transformers.models." + k})
	}
	return list
}

func TestSentenceTransformers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := []int{3, 1, 4, 1, 5}
	plain, err := Open(ctx, generatedBERT(t, "bert", nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	for _, c := range []struct {
		name       string
		files      map[string]any
		pooling    Pooling
		normalized bool
		tokens     int
		refused    string
	}{
		{name: "nothing", pooling: PoolingMean, tokens: genContext},
		{
			name: "switches", pooling: PoolingCLS, normalized: true, tokens: 9, files: map[string]any{
				modulesName: modules("Pooling", "Normalize"), sentenceName: object{"max_seq_length": 9},
				"1_Pooling/config.json": object{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "word_embedding_dimension": 32},
			},
		},
		{
			name: "a mode by name", pooling: PoolingMax, tokens: genContext, files: map[string]any{
				modulesName: modules("Pooling"), "1_Pooling/config.json": object{"pooling_mode": "max"}, sentenceName: object{"max_seq_length": 9000},
			},
		},
		{name: "last", pooling: PoolingLast, tokens: genContext, files: map[string]any{
			modulesName: modules("Pooling"), "1_Pooling/config.json": object{"pooling_mode_lasttoken": true},
		}},
		{name: "no mode", pooling: PoolingMean, tokens: genContext, files: map[string]any{
			modulesName: modules("Pooling"), "1_Pooling/config.json": object{},
		}},
		{name: "two modes", refused: "unsupported pooling: \"max_tokens+mean_tokens\"", files: map[string]any{
			modulesName: modules("Pooling"), "1_Pooling/config.json": object{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true},
		}},
		{name: "another module", refused: `unsupported pooling: module "WordWeights"`, files: map[string]any{modulesName: modules("WordWeights")}},
		{name: "a matrix without its weights", refused: "Dense module of modules.json without model.safetensors", files: map[string]any{
			modulesName: modules("Dense"), "1_Dense/config.json": object{},
		}},
		{name: "a matrix behind the normalisation", refused: "behind Normalize", files: map[string]any{modulesName: modules("Normalize", "Dense")}},
		{name: "missing settings", refused: `malformed modules.json ("1_Pooling/config.json")`, files: map[string]any{modulesName: modules("Pooling")}},
		{name: "no list", refused: "malformed modules.json", files: map[string]any{modulesName: object{"a": 1}}},
		{name: "settings that are no object", refused: "malformed 1_Pooling/config.json", files: map[string]any{
			modulesName: modules("Pooling"), "1_Pooling/config.json": []int{1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := generatedBERT(t, "bert", c.files)
			m, err := Open(ctx, files)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("opened: %v", err)
				}
				if facts, err := Inspect(ctx, files); err != nil || facts.Runnable || !strings.Contains(facts.Unsupported, c.refused) {
					t.Errorf("inspected: %v, %v", facts, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if f := m.Facts(); f.Task != FeatureExtraction || f.Pooling != c.pooling || f.Normalized != c.normalized {
				t.Errorf("facts: %+v", f)
			}
			e := encoder(t, m, EncoderOptions{})
			if e.s.context != c.tokens {
				t.Errorf("takes %d tokens, want %d", e.s.context, c.tokens)
			}
			got, err := e.EmbedTokens(ctx, ids)
			if err != nil {
				t.Fatal(err)
			}
			want, err := encoder(t, plain, EncoderOptions{Pooling: c.pooling, Normalize: c.normalized}).EmbedTokens(ctx, ids)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, want %v, %v", got, want, err)
			}
		})
	}
}

// TestDecoderWithUnknownPooling generates, but has no embeddings unless told how.
func TestDecoderWithUnknownPooling(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files := contents(t, newToy().folder(t, 1, nil))
	b, err := json.Marshal(modules("WordWeights"))
	if err != nil {
		t.Fatal(err)
	}
	files[modulesName] = b
	m, err := Open(ctx, memory(files))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := session(t, m, SessionOptions{}).Eval(ctx, []int{1}); err != nil {
		t.Error(err)
	}
	var unsupported *UnsupportedError
	if _, err := m.NewEncoder(EncoderOptions{}); !errors.As(err, &unsupported) || unsupported.What != "pooling" {
		t.Errorf("an encoder without its module: %v", err)
	}
	if _, err := m.NewEncoder(EncoderOptions{Pooling: "sum"}); err == nil {
		t.Error("an unknown pooling was taken")
	}
	if _, err := encoder(t, m, EncoderOptions{Pooling: PoolingLast}).EmbedTokens(ctx, []int{1, 2}); err != nil {
		t.Error(err)
	}
}

func TestModuleFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "1_Pooling/config.json", "2_Dense/model.safetensors", "onnx/model.onnx", "1_Pooling/deep/config.json", "33/x"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := OpenPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"1_Pooling/config.json", "2_Dense/model.safetensors", "config.json"}, files.Names()); d != "" {
		t.Error(d)
	}
	same, err := FromFS(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(files.Names(), same.Names()); d != "" {
		t.Error(d)
	}
	if b, err := readAll(context.Background(), files, "1_Pooling/config.json", 10); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
}

// safetensorsOf writes tensors to a file.
func safetensorsOf(t testing.TB, tensors map[string]toyTensor) []byte {
	t.Helper()
	header, data := object{}, []byte(nil)
	for _, name := range sortedKeys(tensors) {
		b := f32Bytes(tensors[name].values)
		header[name] = object{"dtype": "F32", "shape": tensors[name].shape, "data_offsets": []int{len(data), len(data) + len(b)}}
		data = append(data, b...)
	}
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h, data)
}

// TestDenseModules takes a text's mean through a matrix with a bias and an activation, and through one without.
func TestDenseModules(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	toy := func(shape ...int) toyTensor {
		n, _ := tensor.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(math.Sin(float64(i + shape[0])))
		}
		return toyTensor{shape, v}
	}
	files := contents(t, generatedBERT(t, "bert", map[string]any{
		modulesName: modules("Pooling", "Dense", "Dense", "Normalize"), "1_Pooling/config.json": object{"pooling_mode": "mean"},
		"2_Dense/config.json": object{"activation_function": "torch.nn.modules.activation.Tanh"},
		"3_Dense/config.json": object{"activation_function": "torch.nn.modules.linear.Identity", "bias": false},
	}))
	first, bias, second := toy(5, genHidden), toy(5), toy(3, 5)
	files["2_Dense/model.safetensors"] = safetensorsOf(t, map[string]toyTensor{"linear.weight": first, "linear.bias": bias})
	files["3_Dense/model.safetensors"] = safetensorsOf(t, map[string]toyTensor{"linear.weight": second})
	m, err := Open(ctx, memory(files))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := encoder(t, m, EncoderOptions{})
	got, err := e.EmbedTokens(ctx, []int{1, 2, 3})
	if err != nil || e.Size() != 3 || m.Facts().EmbeddingSize != 3 {
		t.Fatal(got, err)
	}
	states, err := e.States(ctx, []int{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, genHidden)
	for _, s := range states {
		for i, v := range s {
			x[i] += float64(v) / 3
		}
	}
	times := func(w toyTensor, x []float64) []float64 {
		y := make([]float64, w.shape[0])
		for i, v := range w.values {
			y[i/len(x)] += float64(v) * x[i%len(x)]
		}
		return y
	}
	inner := times(first, x)
	for i := range inner {
		inner[i] = math.Tanh(inner[i] + float64(bias.values[i]))
	}
	want := times(second, inner)
	length := math.Sqrt(want[0]*want[0] + want[1]*want[1] + want[2]*want[2])
	for i := range want {
		want[i] /= length
	}
	if difference := far(got, want); !(difference <= 1e-5) {
		t.Errorf("got %v, want %v", got, want)
	}
	files["3_Dense/model.safetensors"] = safetensorsOf(t, map[string]toyTensor{"linear.weight": toy(3, 6)})
	var bad *MalformedError
	if _, err := Open(ctx, memory(files)); !errors.As(err, &bad) || !strings.Contains(err.Error(), "3_Dense/linear.weight") {
		t.Errorf("a matrix of another width: %v", err)
	}
	files["3_Dense/model.safetensors"] = []byte("junk")
	if _, err := Open(ctx, memory(files)); !errors.As(err, &bad) || !strings.Contains(err.Error(), "3_Dense/model.safetensors") {
		t.Errorf("junk: %v", err)
	}
}

// TestGemmaEmbedding compares a random model in both forms, with matrices behind its pooling, with llama.cpp.
func TestGemmaEmbedding(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := generated{
		name: "gemma-embedding", arch: "gemma-embedding", seed: 77, ends: "token_embd output_norm dense_2 dense_3", prefix: layerPrefix,
		layer: gemmaLayer + " attn_q_norm attn_k_norm", names: gemmaNamesOf + " dense_2=- dense_3=-", onePlus: true,
		shapes: map[string][]int{"dense_2": {20, genHidden}, "dense_3": {genHidden, 20}},
		keys: object{
			"attention.sliding_window": uint32(6), "attention.sliding_window_pattern": uint32(3), "rope.freq_base": float32(1e6),
			"pooling_type": uint32(1), "attention.causal": false, "dense_2_feat_in": uint32(genHidden), "dense_2_feat_out": uint32(20),
			"dense_3_feat_in": uint32(20), "dense_3_feat_out": uint32(genHidden),
		}, config: object{
			"model_type": "gemma3_text", "architectures": []string{"Gemma3TextModel"}, "sliding_window": 6, "sliding_window_pattern": 3,
			"rope_theta": 1e6, "rope_local_base_freq": 1e4, "query_pre_attn_scalar": genDim, "hidden_activation": "gelu_pytorch_tanh",
			"use_bidirectional_attention": true, "head_dim": genDim,
		},
	}
	forms := map[string]Files{"gguf": g.toy().gguf(t)}
	g.save(t, forms["gguf"])
	folder := contents(t, g.folder(t))
	for name, v := range map[string]any{
		modulesName: modules("Pooling", "Dense", "Dense"), "1_Pooling/config.json": object{"pooling_mode_mean_tokens": true},
		"2_Dense/config.json": object{"activation_function": "torch.nn.modules.linear.Identity"},
		"3_Dense/config.json": object{"activation_function": "torch.nn.modules.linear.Identity"},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		folder[name] = b
	}
	for _, n := range []string{"2", "3"} {
		folder[n+"_Dense/model.safetensors"] = safetensorsOf(t, map[string]toyTensor{"linear.weight": g.toy().tensors["dense_"+n+".weight"]})
	}
	forms["folder"] = memory(folder)
	b, err := os.ReadFile("testdata/encoders.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference map[string]struct{ Mean []float64 }
	if err := json.Unmarshal(b, &reference); err != nil {
		t.Fatal(err)
	}
	ids := make([]int, 20)
	for i := range ids {
		ids[i] = i + 1
	}
	for form, files := range forms {
		m, err := Open(ctx, files)
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		defer m.Close()
		if f := m.Facts(); f.Kind != "encoder" || f.Task != FeatureExtraction || f.Pooling != PoolingMean || f.EmbeddingSize != genHidden {
			t.Errorf("%s: %+v", form, f)
		}
		v, err := encoder(t, m, EncoderOptions{}).EmbedTokens(ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		difference := far(v, reference[g.name].Mean)
		t.Logf("%s: differs by %.2g", form, difference)
		if !(difference <= 1e-3) {
			t.Errorf("%s differs by %.3g of the largest element", form, difference)
		}
		if _, err := session(t, m, SessionOptions{}).Eval(ctx, ids); err == nil {
			t.Errorf("%s predicts a next token", form)
		}
	}
}
