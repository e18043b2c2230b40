package verifytest

import (
	"cmp"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/verify"
)

// Model is a model in memory that can be changed and written: a folder as Hugging Face lays it out, or a GGUF file.
type Model struct {
	// Tensors are in the order in which they are written.
	Tensors []*Tensor
	// Config is config.json of a folder, nil for GGUF.
	Config map[string]any
	// Keys are what a GGUF file says other than the file that it was read from; nil values leave a key out.
	Keys map[string]any
	// Files are those that hold no weights, by path, config.json not among them.
	Files map[string][]byte
	// Shards is how many files the weights are written to; 0 is one.
	Shards int
	// Name is that of the weight file of a GGUF model, without its ending.
	Name string

	head *gguf.File // nil for a folder
}

// Tensor is one tensor with its data as files hold it.
type Tensor struct {
	Name  string
	Type  tensor.Type
	Shape []int // row-major, outermost dimension first
	Data  []byte
}

// GGUF reports whether the model is written as GGUF.
func (m *Model) GGUF() bool { return m.head != nil }

// Clone returns a copy that shares nothing that changes.
func (m *Model) Clone() *Model {
	c := *m
	c.Tensors = make([]*Tensor, len(m.Tensors))
	for i, t := range m.Tensors {
		c.Tensors[i] = &Tensor{Name: t.Name, Type: t.Type, Shape: slices.Clone(t.Shape), Data: slices.Clone(t.Data)}
	}
	c.Config, c.Keys, c.Files = maps.Clone(m.Config), maps.Clone(m.Keys), maps.Clone(m.Files)
	return &c
}

// Folder writes the model into a folder of the test and returns its path.
func (m *Model) Folder(t testing.TB) string {
	t.Helper()
	return folder(t, m.All(t))
}

// Open writes the model into a folder of the test and opens it; the files are closed with the test.
func (m *Model) Open(t testing.TB) verify.Files {
	t.Helper()
	return open(t, m.All(t))
}

// folder writes files into a folder of the test.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, p := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, files map[string][]byte) verify.Files {
	t.Helper()
	opened, err := verify.OpenPath(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

// All returns every file of the model by its path.
func (m *Model) All(t testing.TB) map[string][]byte {
	t.Helper()
	if m.GGUF() {
		return m.ggufFiles(t)
	}
	return m.folderFiles(t)
}

// Find returns the tensor of that name, nil when there is none.
func (m *Model) Find(name string) *Tensor {
	for _, t := range m.Tensors {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Values decodes the tensor.
func (t *Tensor) Values() []float32 {
	v := make([]float32, t.Elements())
	if err := tensor.Decode(t.Type, v, t.Data); err != nil {
		panic(err) // every type here has a decoder
	}
	return v
}

// Set encodes values in the tensor's type.
func (t *Tensor) Set(v []float32) {
	size, _ := t.Type.Size(int64(len(v)))
	t.Data = make([]byte, size)
	if err := tensor.Encode(t.Type, t.Data, v); err != nil {
		panic(err)
	}
}

// Elements is how many numbers the tensor holds.
func (t *Tensor) Elements() int {
	n, _ := tensor.Elements(t.Shape)
	return int(n)
}

// Cols is the length of the last dimension.
func (t *Tensor) Cols() int { return t.Shape[len(t.Shape)-1] }

// cast changes the element type.
func (t *Tensor) cast(to tensor.Type) {
	v := t.Values()
	t.Type = to
	t.Set(v)
}

var inLayer = regexp.MustCompile(`(?:^|\.)(?:layers?|h|blk)\.(\d+)\.(.+)$`)

// Layer returns the number of the layer that a tensor is part of and its name there; -1 for one outside the layers.
func (t *Tensor) Layer() (int, string) {
	found := inLayer.FindStringSubmatch(t.Name)
	if found == nil {
		return -1, t.Name
	}
	n, _ := strconv.Atoi(found[1])
	return n, found[2]
}

// withLayer returns the tensor's name with another layer's number.
func (t *Tensor) withLayer(n int) string {
	at := inLayer.FindStringSubmatchIndex(t.Name)
	return t.Name[:at[2]] + strconv.Itoa(n) + t.Name[at[3]:]
}

// Layers is how many layers the tensors are of.
func (m *Model) Layers() int {
	n := 0
	for _, t := range m.Tensors {
		l, _ := t.Layer()
		n = max(n, l+1)
	}
	return n
}

// norm reports whether a tensor is the weight of a norm.
func (t *Tensor) norm() bool {
	return len(t.Shape) == 1 && strings.HasSuffix(t.Name, ".weight")
}

// matrix reports whether a tensor is a matrix inside a layer.
func (t *Tensor) matrix() bool {
	l, _ := t.Layer()
	return len(t.Shape) == 2 && l >= 0
}

// matrices are the matrices of the layers, sorted by name so that a seed means the same in every order of files.
func (m *Model) matrices() []*Tensor { return m.sorted((*Tensor).matrix) }

func (m *Model) sorted(which func(*Tensor) bool) []*Tensor {
	var list []*Tensor
	for _, t := range m.Tensors {
		if which(t) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// embedding is the matrix of the tokens' embeddings.
func (m *Model) embedding() *Tensor {
	for _, name := range []string{
		"model.embed_tokens.weight", "token_embd.weight", "model.tok_embeddings.weight",
		"embeddings.word_embeddings.weight", "transformer.wte.weight",
	} {
		if t := m.Find(name); t != nil {
			return t
		}
	}
	return nil
}

// number is a number that config.json or a GGUF file's keys say, by the name of either; 0 when there is none.
func (m *Model) number(config, key string) float64 {
	if !m.GGUF() {
		v, _ := m.Config[config].(float64)
		return v
	}
	key = m.arch() + "." + key
	switch v := m.Keys[key].(type) {
	case uint32:
		return float64(v)
	case float32:
		return float64(v)
	}
	return m.head.Float(key, 0)
}

// declare sets a number in config.json or in the keys of a GGUF file, as a whole one unless it is a fraction there.
func (m *Model) declare(config, key string, v float64) {
	if !m.GGUF() {
		m.Config[config] = v
		return
	}
	full := m.arch() + "." + key
	if old, ok := m.head.Value(full); ok && (old.Kind == gguf.Float32 || old.Kind == gguf.Float64) || v != math.Trunc(v) {
		m.Keys[full] = float32(v)
		return
	}
	m.Keys[full] = uint32(v)
}

// arch is the architecture that a GGUF file says, which its keys begin with.
func (m *Model) arch() string { return m.head.Text("general.architecture", "") }
