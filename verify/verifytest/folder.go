package verifytest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"testing"

	"github.com/carat-hub/carat/inference/safetensors"
)

const weightsName = "model.safetensors"

// ReadFolder reads a model as Hugging Face lays it out, of one file of weights.
func ReadFolder(t testing.TB, dir string) *Model {
	t.Helper()
	m := &Model{Files: map[string][]byte{}}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(p) == ".gguf" || path.Ext(p) == ".onnx" {
			return err
		}
		m.Files[p], err = fs.ReadFile(root, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m.Files["config.json"], &m.Config); err != nil {
		t.Fatal(err)
	}
	weights := m.Files[weightsName]
	f, err := safetensors.Read(bytes.NewReader(weights), int64(len(weights)))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range f.Tensors {
		m.Tensors = append(m.Tensors, &Tensor{
			Name: h.Name, Type: h.Type, Shape: h.Shape, Data: bytes.Clone(weights[h.Offset : h.Offset+h.Size]),
		})
	}
	delete(m.Files, "config.json")
	delete(m.Files, weightsName)
	return m
}

// head is an entry of a safetensors header.
type head struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

func (m *Model) folderFiles(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"config.json": marshal(t, m.Config)}
	for name, p := range m.Files {
		all[name] = p
	}
	if m.Shards < 2 {
		all[weightsName] = safetensorsFile(t, m.Tensors)
		return all
	}
	index := map[string]string{}
	for i, part := range m.parts() {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, m.Shards)
		all[name] = safetensorsFile(t, part)
		for _, one := range part {
			index[one.Name] = name
		}
	}
	all[safetensors.IndexName] = marshal(t, map[string]any{"metadata": map[string]any{}, "weight_map": index})
	return all
}

// parts deals the tensors out to the shards in order.
func (m *Model) parts() [][]*Tensor {
	parts := make([][]*Tensor, m.Shards)
	for i, t := range m.Tensors {
		at := i * m.Shards / len(m.Tensors)
		parts[at] = append(parts[at], t)
	}
	return parts
}

func safetensorsFile(t testing.TB, tensors []*Tensor) []byte {
	t.Helper()
	heads := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, one := range tensors {
		start := int64(len(data))
		data = append(data, one.Data...)
		heads[one.Name] = head{one.Type.String(), append([]int{}, one.Shape...), [2]int64{start, int64(len(data))}}
	}
	header := marshal(t, heads)
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	p := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(p, header...), data...)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	p, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// edit changes the JSON of one of the files.
func (m *Model) edit(t testing.TB, name string, change func(map[string]any)) {
	t.Helper()
	v := map[string]any{}
	if p, ok := m.Files[name]; ok {
		if err := json.Unmarshal(p, &v); err != nil {
			t.Fatal(err)
		}
	}
	change(v)
	m.Files[name] = marshal(t, v)
}
