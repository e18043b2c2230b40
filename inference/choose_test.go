package inference

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChooseWeights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		names []string
		want  weightFiles
		err   string
	}{
		"one GGUF file":          {names: []string{"a.gguf", "README.md"}, want: weightFiles{gguf: []string{"a.gguf"}}},
		"upper case":             {names: []string{"A.GGUF"}, want: weightFiles{gguf: []string{"A.GGUF"}}},
		"with a projector":       {names: []string{"mmproj-f16.gguf", "a.gguf"}, want: weightFiles{gguf: []string{"a.gguf"}}},
		"a projector alone":      {names: []string{"mmproj-f16.gguf"}, want: weightFiles{gguf: []string{"mmproj-f16.gguf"}}},
		"two GGUF files":         {names: []string{"a.gguf", "b.gguf"}, err: "unsupported model folder: 2 models in GGUF files"},
		"a split model":          {names: []string{"a-00002-of-00002.gguf", "a-00001-of-00002.gguf"}, want: weightFiles{gguf: []string{"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"}}},
		"its last part alone":    {names: []string{"a-00002-of-00002.gguf"}, want: weightFiles{gguf: []string{"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"}}},
		"two split models":       {names: []string{"a-00001-of-00002.gguf", "b-00001-of-00002.gguf"}, err: "unsupported model folder: 2 models in GGUF files"},
		"a part outside":         {names: []string{"a-00003-of-00002.gguf"}, want: weightFiles{gguf: []string{"a-00003-of-00002.gguf"}}},
		"safetensors first":      {names: []string{"a.gguf", "model.safetensors", "x.safetensors"}, want: weightFiles{safetensors: []string{"model.safetensors"}}},
		"index first":            {names: []string{"model.safetensors", "model.safetensors.index.json"}, want: weightFiles{index: true}},
		"any safetensors":        {names: []string{"b.safetensors", "a.safetensors"}, want: weightFiles{safetensors: []string{"a.safetensors", "b.safetensors"}}},
		"shards without index":   {names: []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}, err: "malformed safetensors"},
		"weights in folders":     {names: []string{"unet/model.safetensors", "vae/model.safetensors"}, err: "unsupported model folder: the weights are in folders"},
		"a folder beside":        {names: []string{"onnx/model.safetensors", "model.safetensors"}, want: weightFiles{safetensors: []string{"model.safetensors"}}},
		"checkpoint":             {names: []string{"pytorch_model.bin", "training_args.bin", "x.bin"}, want: weightFiles{pickle: "pytorch_model.bin"}},
		"any checkpoint":         {names: []string{"a.pt", "optimizer.pt"}, want: weightFiles{pickle: "a.pt"}},
		"several checkpoints":    {names: []string{"a.pt", "b.pt"}, err: "unsupported model folder: 2 files that may be checkpoints"},
		"index of checkpoints":   {names: []string{"pytorch_model.bin.index.json", "model.onnx"}, want: weightFiles{pickleIndex: true}},
		"checkpoint shards":      {names: []string{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"}, err: "malformed pytorch"},
		"safetensors for sure":   {names: []string{"pytorch_model.bin", "model.safetensors"}, want: weightFiles{safetensors: []string{"model.safetensors"}}},
		"checkpoint and folders": {names: []string{"pytorch_model.bin", "2_Dense/model.safetensors"}, want: weightFiles{pickle: "pytorch_model.bin"}},
		"graph":                  {names: []string{"a.onnx", "a.onnx_data"}, want: weightFiles{onnx: "a.onnx"}},
		"graph in a folder":      {names: []string{"onnx/model.onnx", "onnx/model_fp16.onnx"}, want: weightFiles{onnx: "onnx/model.onnx"}},
		"several graphs":         {names: []string{"encoder.onnx", "decoder.onnx"}, err: "unsupported model folder: 2 ONNX files"},
		"another format":         {names: []string{"tf_model.h5"}, err: "unsupported file format: weights in .h5 files"},
		"nothing that is weight": {names: []string{"README.md"}, err: "unsupported file format: no safetensors or GGUF file among 1 files"},
	} {
		got, err := chooseWeights(c.names)
		if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: error %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(weightFiles{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadTokenizer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files, err := OpenPath("../examples/tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := ReadTokenizer(ctx, files)
	if err != nil || tok.Size() != 2048 || len(tok.Encode("Hello", true)) < 2 {
		t.Errorf("%v, %v", tok, err)
	}
	if _, err := ReadTokenizer(ctx, newToy().gguf(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a model without a tokenizer: %v", err)
	}
}

// TestDamagedTokenizerHasFacts: the facts of a model do not go with its tokenizer.
func TestDamagedTokenizerHasFacts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	whole := newToy().folder(t, 1, nil)
	for tokenizer, want := range map[string]string{`{"model":{"type":"BPE"}}`: "bpe", "[]": "", "{": ""} {
		sources := map[string]Source{tokenizerName: {strings.NewReader(tokenizer), int64(len(tokenizer))}}
		for _, n := range whole.Names() {
			f, err := whole.Open(n)
			if err != nil {
				t.Fatal(err)
			}
			sources[n] = Source{f, f.Size()}
		}
		f, err := Inspect(ctx, FromSources(sources))
		if err != nil || f.Tokenizer != want || f.EmbeddingRows != 10 || f.VocabularySize != 10 {
			t.Errorf("%s: %+v, %v", tokenizer, f, err)
		}
	}
}

// TestRopeFactorsThatDivideNothing: a weight's value is no fault of the format. A negative factor turns the other way; one
// that cannot be divided by shows in the outputs.
func TestRopeFactorsThatDivideNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		factor float32
		finite bool
	}{"negative": {-2, true}, "zero": {0, false}, "NaN": {float32(math.NaN()), false}} {
		toy := newToy()
		toy.tensors["rope_freqs.weight"] = toyTensor{[]int{2}, []float32{1, c.factor}}
		m, err := Open(ctx, toy.gguf(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		logits, err := session(t, m, SessionOptions{Threads: 1}).Eval(ctx, []int{1, 2, 3})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if x := float64(logits[0]); (!math.IsNaN(x) && !math.IsInf(x, 0)) != c.finite {
			t.Errorf("%s: outputs %v", name, logits)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
