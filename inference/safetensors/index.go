package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/jsonwalk"
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
	// TotalSize is what the index says that all tensors take, in bytes; -1 when it says nothing.
	TotalSize int64
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
	if !json.Valid(b) {
		var v struct{}
		return nil, bad("", "%v", json.Unmarshal(b, &v))
	}
	var entries, metadata []byte
	if ok, _ := jsonwalk.EachMember(bytes.TrimSpace(b), func(key, value []byte) error {
		if string(key) == `"weight_map"` {
			entries = value
		}
		if string(key) == `"metadata"` {
			metadata = value
		}
		return nil
	}); !ok || entries == nil {
		return nil, bad("weight_map", "missing")
	}
	// A small file with very many entries would take several times its size.
	limit := min(MaxTensors, 1<<16+len(entries)/64)
	index := &Index{TotalSize: totalSize(metadata), WeightMap: make(map[string]string, min(bytes.Count(entries, []byte(",")), limit, len(entries)/32)+1)}
	var names jsonwalk.Arena
	files := map[string]string{} // each name once
	var text []byte
	ok, err := jsonwalk.EachMember(entries, func(key, value []byte) error {
		var valid bool
		if text, valid = jsonwalk.AppendText(text[:0], value); !valid {
			return bad(string(key[:min(len(key), 80)]), "the file is no text")
		}
		file, known := files[string(text)]
		if !known {
			file = string(text)
			if file == "" || file == "." || file == ".." || strings.ContainsAny(file, `/\`+"\x00") {
				return bad(string(key[:min(len(key), 80)]), "%.80q is no plain file name", file)
			}
			if len(files) == MaxShards {
				return bad("weight_map", "more than %d files", MaxShards)
			}
			files[file] = file
		}
		if text, _ = jsonwalk.AppendText(text[:0], key); len(text) > maxName {
			return bad("weight_map", "a name of %d bytes", len(text))
		}
		if _, twice := index.WeightMap[string(text)]; twice {
			return bad(string(text), "tensor given twice")
		}
		if len(index.WeightMap) == limit {
			return bad("weight_map", "more than %d tensors", limit)
		}
		index.WeightMap[names.Add(text)] = file
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, bad("weight_map", "not an object")
	}
	return index, nil
}

// totalSize reads metadata.total_size, which some programs write as a number with a fraction of zero.
func totalSize(metadata []byte) int64 {
	size := int64(-1)
	_, _ = jsonwalk.EachMember(metadata, func(key, value []byte) error {
		if string(key) == `"total_size"` {
			if f, err := strconv.ParseFloat(string(value), 64); err == nil && f >= 0 && f < 1<<53 && f == math.Trunc(f) {
				size = int64(f)
			}
		}
		return nil
	})
	return size
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
