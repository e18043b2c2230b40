package verifytest

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/gguf"
)

// ReadGGUF reads a GGUF file.
func ReadGGUF(t testing.TB, name string) *Model {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return parseGGUF(t, strings.TrimSuffix(filepath.Base(name), ".gguf"), p)
}

func parseGGUF(t testing.TB, name string, p []byte) *Model {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{Name: name, Keys: map[string]any{}, Files: map[string][]byte{}, head: f}
	for _, h := range f.Tensors {
		m.Tensors = append(m.Tensors, &Tensor{
			Name: h.Name, Type: h.Type, Shape: h.Shape, Data: bytes.Clone(p[h.Offset : h.Offset+h.Size]),
		})
	}
	return m
}

// Quantized returns the model as a GGUF file in a type of inference.QuantizeTypes.
func (m *Model) Quantized(t testing.TB, kind string) *Model {
	t.Helper()
	files, err := inference.OpenPath(m.Folder(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := inference.Quantize(t.Context(), files, &out, inference.QuantizeOptions{Type: kind, Name: "model"}); err != nil {
		t.Fatal(err)
	}
	return parseGGUF(t, "model-"+kind, out.Bytes())
}

func (m *Model) ggufFiles(t testing.TB) map[string][]byte {
	t.Helper()
	all := maps.Clone(m.Files)
	if m.Shards < 2 {
		var w gguf.Writer
		m.setKeys(t, &w)
		all[m.Name+".gguf"] = writeGGUF(t, &w, m.Tensors)
		return all
	}
	for i, part := range m.parts() {
		var w gguf.Writer
		if i == 0 {
			m.setKeys(t, &w)
		}
		w.Set("split.no", uint16(i))
		w.Set("split.count", uint16(m.Shards))
		w.Set("split.tensors.count", int32(len(m.Tensors)))
		name := gguf.Part{Prefix: m.Name, No: i, Count: m.Shards}
		all[name.Name(i)] = writeGGUF(t, &w, part)
	}
	return all
}

func (m *Model) setKeys(t testing.TB, w *gguf.Writer) {
	t.Helper()
	for _, key := range m.head.Keys {
		if _, other := m.Keys[key]; other || key == "general.alignment" {
			continue
		}
		if err := w.Copy(m.head, key); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.Keys)) {
		if v := m.Keys[key]; v != nil {
			w.Set(key, v)
		}
	}
}

func writeGGUF(t testing.TB, w *gguf.Writer, tensors []*Tensor) []byte {
	t.Helper()
	for _, one := range tensors {
		w.Add(one.Name, one.Type, one.Shape, one.Data)
	}
	var out bytes.Buffer
	if err := w.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// tokens are the vocabulary of a GGUF file.
func (m *Model) tokens(t testing.TB) []string {
	t.Helper()
	if v, ok := m.Keys["tokenizer.ggml.tokens"].([]string); ok {
		return slices.Clone(v)
	}
	v, err := m.head.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// types are the kinds of the tokens of a GGUF file.
func (m *Model) types(t testing.TB) []int32 {
	t.Helper()
	v, err := m.head.Ints("tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make([]int32, len(v))
	for i, k := range v {
		kinds[i] = int32(k)
	}
	return kinds
}
