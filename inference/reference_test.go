package inference

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/internal/reference"
	"github.com/carat-hub/carat/inference/internal/shared"
	"github.com/carat-hub/carat/inference/tensor"
)

// referenceTolerance is what logits may differ by from those computed in float64, in parts of the largest of a position. The
// generated models have sums of up to 128 products in float32, each rounded by 6e-8 of its size, and four layers that pass
// the differences on: most differ by 5e-7.
const referenceTolerance = 1e-5

func float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

// referenceGGUF gives the model's GGUF form to the reference.
func (m *toy) referenceGGUF() reference.Files {
	f := reference.Files{GGUF: true, Config: m.keys, Tensors: map[string]reference.Tensor{}}
	for name, t := range m.tensors {
		f.Tensors[name] = reference.Tensor{Shape: t.shape, Data: float64s(t.values)}
	}
	return f
}

// referenceFolder gives a folder of F32 tensors in one file to the reference. It reads the file by itself.
func referenceFolder(t testing.TB, files Files) reference.Files {
	t.Helper()
	read := func(name string) []byte {
		f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	f := reference.Files{Tensors: map[string]reference.Tensor{}}
	if err := json.Unmarshal(read(configName), &f.Config); err != nil {
		t.Fatal(err)
	}
	b := read(weightsName)
	size := binary.LittleEndian.Uint64(b)
	var header map[string]struct {
		Dtype   string
		Shape   []int
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	for name, h := range header {
		if name == "__metadata__" {
			continue
		}
		if h.Dtype != "F32" {
			t.Fatalf("tensor %s is %s", name, h.Dtype)
		}
		r := reference.Tensor{Shape: h.Shape}
		for raw := b[8+size:][h.Offsets[0]:h.Offsets[1]]; len(raw) > 0; raw = raw[4:] {
			r.Data = append(r.Data, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		}
		f.Tensors[name] = r
	}
	return f
}

// compareReference evaluates ids in several ways, in sessions of length positions, and compares the logits at every position with
// the reference's.
func compareReference(t *testing.T, files Files, want [][]float64, ids []int, length int, tolerance float64) {
	t.Helper()
	m, err := Open(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	worst := 0.0
	check := func(way string, got [][]float32) {
		if len(got) != len(want) {
			t.Fatalf("%s: logits at %d positions, want %d", way, len(got), len(want))
		}
		for i := range want {
			if len(got[i]) != len(want[i]) {
				t.Fatalf("%s: %d logits, want %d", way, len(got[i]), len(want[i]))
			}
			largest, difference := 0.0, 0.0
			for j, v := range want[i] {
				largest = math.Max(largest, math.Abs(v))
				difference = math.Max(difference, math.Abs(v-float64(got[i][j])))
			}
			worst = math.Max(worst, difference/largest)
			if !(difference <= tolerance*largest) {
				t.Fatalf("%s: logits at position %d differ by %.3g of the largest, %.3g", way, i, difference/largest, largest)
			}
		}
	}
	check("all at once", evalAll(t, session(t, m, SessionOptions{Threads: 2, Context: length}), ids))
	check("in batches of 7", evalAll(t, session(t, m, SessionOptions{Threads: 2, Context: length, Batch: 7}), ids))
	for _, calls := range []int{len(ids), 2} {
		// One token a call, and then two calls, the second of which continues a sequence cut back.
		s, got := session(t, m, SessionOptions{Threads: 1, Context: length}), [][]float32(nil)
		if calls == 2 {
			evalAll(t, s, ids[len(ids)/2:])
			s.Truncate(0)
		}
		for c := range calls {
			got = append(got, evalAll(t, s, ids[c*len(ids)/calls:(c+1)*len(ids)/calls])...)
		}
		check(fmt.Sprintf("in %d calls", calls), got)
	}
	t.Logf("largest difference %.2g", worst)
}

// TestReferenceInFloat64 compares every generated model, in both its forms, with the independent implementation.
func TestReferenceInFloat64(t *testing.T) {
	t.Parallel()
	ids := make([]int, 20)
	for i := range ids {
		ids[i] = (i*i + 3) % genVocab
	}
	for i, g := range slices.Concat(generatedArchitectures, generatedVariants) {
		g.seed = uint64(i)
		run := func(form string, files Files, f reference.Files) {
			t.Run(g.name+"/"+form, func(t *testing.T) {
				t.Parallel()
				lengths := []int{genContext, len(ids), 5 * genContext / 2} // on which the rotary embedding of some depends
				if g.layers > 2*genLayers {
					lengths = lengths[:1]
				}
				for _, length := range lengths {
					r, err := reference.Read(f, length)
					if err != nil {
						t.Fatal(err)
					}
					compareReference(t, files, r.Logits(ids), ids, length, referenceTolerance)
				}
			})
		}
		if g.like == "" {
			m := g.toy()
			run("gguf", m.gguf(t), m.referenceGGUF())
		}
		if g.names != "" {
			files := g.folder(t)
			run("folder", files, referenceFolder(t, files))
		}
	}
}

// referenceFile gives a GGUF file to the reference.
func referenceFile(t testing.TB, path string) reference.Files {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	f := reference.Files{GGUF: true, Config: map[string]any{}, Tensors: map[string]reference.Tensor{}}
	for _, key := range g.Keys {
		v, _ := g.Value(key)
		switch text, isText := v.Text(); {
		case isText:
			f.Config[key] = text
		case v.Kind == gguf.Bool:
			f.Config[key], _ = v.Bool()
		case v.Kind == gguf.Array:
			f.Config[key], _ = g.Ints(key)
		default:
			f.Config[key], _ = v.Float()
		}
	}
	for _, s := range g.Tensors {
		n, _ := tensor.Elements(s.Shape)
		values := make([]float32, n)
		if err := tensor.Decode(s.Type, values, b[s.Offset:s.Offset+s.Size]); err != nil {
			t.Fatal(err)
		}
		f.Tensors[s.Name] = reference.Tensor{Shape: s.Shape, Data: float64s(values)}
	}
	return f
}

// TestReferenceOfTrainedModel compares the reference with llama.cpp's logits of a trained model, and both its forms with it.
func TestReferenceOfTrainedModel(t *testing.T) {
	t.Parallel()
	recorded := readReference(t, shared.Path(t, "gguf", "stories260K-f32.logits.json"))
	folder, err := OpenPath(shared.Path(t, "stories260K"))
	if err != nil {
		t.Fatal(err)
	}
	path := shared.Path(t, "gguf", "stories260K-f32.gguf")
	file, err := OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	ids := slices.Concat(recorded.Tokens, recorded.Greedy[:40])
	for _, c := range []struct {
		name      string
		files     Files
		reference reference.Files
	}{{"folder", folder, referenceFolder(t, folder)}, {"gguf", file, referenceFile(t, path)}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := reference.Read(c.reference, len(ids))
			if err != nil {
				t.Fatal(err)
			}
			logits := r.Logits(ids)
			for i, p := range recorded.Positions {
				largest, difference := 0.0, 0.0
				for j, v := range p.First {
					largest, difference = math.Max(largest, math.Abs(v)), math.Max(difference, math.Abs(v-logits[i][j]))
				}
				if !(difference <= referenceTolerance*largest) {
					t.Errorf("position %d differs from llama.cpp's by %.3g of the largest logit", i, difference/largest)
				}
			}
			for i, id := range recorded.Greedy[:40] {
				at := logits[len(recorded.Tokens)-1+i]
				if best := slices.Index(at, slices.Max(at)); best != id {
					t.Errorf("the reference generates token %d at %d, llama.cpp %d", best, i, id)
				}
			}
			compareReference(t, c.files, logits, ids, len(ids), referenceTolerance)
		})
	}
}

// TestReferenceOfTrainedEncoder compares the reference with the embeddings that PyTorch computed: the means of the last states,
// divided by their length.
func TestReferenceOfTrainedEncoder(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(shared.Path(t, "tiny-bert", "reference_torch.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		IDs        [][]int
		Embeddings [][]float64
	}
	if err := json.Unmarshal(b, &want); err != nil || len(want.IDs) == 0 {
		t.Fatal(len(want.IDs), err)
	}
	files, err := OpenPath(shared.Path(t, "tiny-bert"))
	if err != nil {
		t.Fatal(err)
	}
	for form, f := range map[string]reference.Files{
		"folder": referenceFolder(t, files), "gguf": referenceFile(t, shared.Path(t, "tiny-bert", "tiny-bert-f32.gguf")),
	} {
		r, err := reference.Read(f, 128)
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range want.IDs {
			mean := reference.Add(r.States(ids, nil)...)
			mean = reference.Scale(mean, 1/math.Sqrt(reference.Dot(mean, mean)))
			for j, v := range want.Embeddings[i] {
				if !(math.Abs(mean[j]-v) <= 1e-6) {
					t.Fatalf("%s: element %d of sentence %d is %v, want %v", form, j, i, mean[j], v)
				}
			}
		}
	}
}

// TestRoutingInFloat64 compares the weights that a router's logits give experts, for all ways of choosing them.
func TestRoutingInFloat64(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 1))
	for range 2000 {
		groups, size := 1+r.IntN(5), 2+r.IntN(6)
		e := &ExpertDescription{
			Count: groups * size, Sigmoid: r.IntN(2) == 0, Normalised: r.IntN(2) == 0, Scale: float32(0.5 + r.Float64()),
			Groups: groups, UsedGroups: 1 + r.IntN(groups), GroupBySum: r.IntN(2) == 0,
		}
		e.Used = 1 + r.IntN(size*e.UsedGroups)
		want := reference.Router{
			Sigmoid: e.Sigmoid, Top: e.Used, Groups: groups, TopGroups: e.UsedGroups, RankTwo: e.GroupBySum, Normalise: e.Normalised,
			Scale: float64(e.Scale),
		}
		if groups == 1 {
			e.Groups = 0
		}
		logits, selection := make([]float32, e.Count), make([]float32, e.Count)
		for i := range logits {
			logits[i], selection[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
			want.Gate.Weight = append(want.Gate.Weight, []float64{float64(logits[i])})
		}
		if want.Bias = float64s(selection); r.IntN(2) == 0 {
			want.Bias, selection = nil, nil
		}
		weights := make([]float32, e.Count)
		newRouting(&Description{Experts: e, Hidden: 1}, 1).choose(e, selection, logits, weights)
		for i, w := range want.Weights([]float64{1}) {
			if !(math.Abs(float64(weights[i])-w) <= 1e-6*w) {
				t.Fatalf("%+v: expert %d has weight %v, want %v", e, i, weights[i], w)
			}
		}
	}
}
