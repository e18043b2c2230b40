package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
)

// IndexName is the usual name of the index of a sharded model.
const IndexName = "model.safetensors.index.json"

// The limits of an index.
const (
	MaxIndex  = 32 << 20
	MaxShards = 4096
)

// Index says which file of a sharded model holds each tensor.
type Index struct {
	// WeightMap maps a tensor's name to the name of a file in the same folder.
	WeightMap map[string]string
}

// ParseIndex reads a model.safetensors.index.json of at most MaxIndex bytes. File names are plain names: one with a path in it
// is refused. It returns a *fault.Malformed for anything else.
func ParseIndex(b []byte) (*Index, error) {
	bad := func(where, format string, args ...any) error {
		return &fault.Malformed{Format: "safetensors index", Where: where, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	if len(b) > MaxIndex {
		return nil, bad("", "%d bytes exceed the limit of %d", len(b), MaxIndex)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return nil, bad("", "%v", err)
	}
	if top["weight_map"] == nil {
		return nil, bad("weight_map", "missing")
	}
	d := json.NewDecoder(bytes.NewReader(top["weight_map"]))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, bad("weight_map", "not an object")
	}
	index := &Index{WeightMap: map[string]string{}}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, bad("weight_map", "%v", err)
		}
		name := key.(string) // the decoder yields nothing else for a key
		var file string
		if err := d.Decode(&file); err != nil {
			return nil, bad(name, "%v", err)
		}
		if _, twice := index.WeightMap[name]; twice {
			return nil, bad(name, "tensor given twice")
		}
		if file == "" || file == "." || file == ".." || strings.ContainsAny(file, `/\`+"\x00") {
			return nil, bad(name, "%.80q is no plain file name", file)
		}
		if len(index.WeightMap) == MaxTensors {
			return nil, bad("weight_map", "more than %d tensors", MaxTensors)
		}
		index.WeightMap[name] = file
	}
	if len(index.Files()) > MaxShards {
		return nil, bad("weight_map", "more than %d files", MaxShards)
	}
	return index, nil
}

// Files returns the names of the shards, sorted, each once.
func (x *Index) Files() []string {
	seen := map[string]bool{}
	var names []string
	for _, f := range x.WeightMap {
		if !seen[f] {
			seen[f] = true
			names = append(names, f)
		}
	}
	slices.Sort(names)
	return names
}

// ReadShards reads the header of every file of the index and checks that the index and the files name the same tensors. open
// returns a shard and its size; its errors are returned wrapped.
func (x *Index) ReadShards(open func(name string) (io.ReaderAt, int64, error)) (map[string]*File, error) {
	shards := map[string]*File{}
	found := 0
	for _, name := range x.Files() {
		r, size, err := open(name)
		if err != nil {
			return nil, fmt.Errorf("open shard %s: %w", name, err)
		}
		f, err := Read(r, size)
		if err != nil {
			return nil, fmt.Errorf("read shard %s: %w", name, fault.InFile(name, err))
		}
		for _, t := range f.Tensors {
			if x.WeightMap[t.Name] != name {
				return nil, &fault.Malformed{
					Format: "safetensors index", Where: t.Name, Offset: -1,
					Reason: fmt.Sprintf("tensor of file %s is not mapped to it", name),
				}
			}
		}
		found += len(f.Tensors)
		shards[name] = f
	}
	if found != len(x.WeightMap) {
		for tensor, file := range x.WeightMap {
			if !slices.ContainsFunc(shards[file].Tensors, func(t Tensor) bool { return t.Name == tensor }) {
				return nil, &fault.Malformed{
					Format: "safetensors index", Where: tensor, Offset: -1,
					Reason: fmt.Sprintf("file %s does not hold the tensor", file),
				}
			}
		}
	}
	return shards, nil
}
