package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/verify"
)

// indexCheck compares the index of a sharded model with the shards, both ways, and the parts of a split GGUF model.
var indexCheck = check{
	id: idIndex, level: verify.LevelQuick,
	proves: "The index and the shards of a model name the same tensors and sizes, and no part is missing or left over.",
	run:    compareIndex,
}

type indexEvidence struct {
	Index    string   `json:"index,omitempty"`
	Shards   int      `json:"shards"`
	Tensors  int      `json:"tensors"`
	Declared int64    `json:"declared,omitempty"` // bytes of all tensors, as the index says
	Measured int64    `json:"measured"`
	Unlisted []string `json:"unlisted,omitempty"` // weights that no index names, the first few
}

func compareIndex(_ context.Context, m *model) (finding, error) {
	files := m.part.files
	if p, split := gguf.ParsePart(files[0].Path); split {
		return compareParts(files, p)
	}
	f := files.Lookup(safetensors.IndexName)
	if f == nil {
		return excused("the weights are not spread over several files"), nil
	}
	ev := indexEvidence{Index: f.Path}
	if f.Size > safetensors.MaxIndex {
		return failed(ev, "the index has %d bytes", f.Size), nil
	}
	p, err := f.Head(safetensors.MaxIndex)
	if err != nil {
		return finding{}, err
	}
	index, err := safetensors.ParseIndex(p)
	if err != nil {
		return finding{evidence: ev}, err
	}
	ev.Shards, ev.Declared = len(index.Files()), max(index.TotalSize, 0)
	shards, err := index.ReadShards(func(name string) (io.ReaderAt, int64, error) {
		s := files.Lookup(name)
		if s == nil || s.Packed {
			return nil, 0, &fault.Malformed{Format: "safetensors index", Where: name, Offset: -1, Reason: "shard is missing"}
		}
		return s, s.Size, nil
	})
	if err != nil {
		return finding{evidence: ev}, err
	}
	for _, s := range shards {
		ev.Tensors += len(s.Tensors)
		for _, t := range s.Tensors {
			ev.Measured += t.Size
		}
	}
	for _, s := range files {
		if shardFile().MatchString(s.Path) && shards[s.Path] == nil {
			ev.Unlisted = addNamed(ev.Unlisted, storable(s.Path))
		}
	}
	var odd []string
	if len(ev.Unlisted) > 0 {
		odd = append(odd, "the index does not name these weights: "+listed(ev.Unlisted))
	}
	if index.TotalSize >= 0 && index.TotalSize != ev.Measured {
		odd = append(odd, fmt.Sprintf("the index declares %d bytes, the shards have %d", index.TotalSize, ev.Measured))
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// shardFile is what the weights of a model in a folder are called.
var shardFile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^model(?:-\d{5}-of-\d{5})?\.safetensors$`) })

// compareParts reads the heads of all parts of a split GGUF model.
func compareParts(files verify.Files, p gguf.Part) (finding, error) {
	ev := indexEvidence{Shards: p.Count}
	g, err := gguf.ReadParts(p.Names(), func(name string) (io.ReaderAt, int64, error) {
		i := slices.IndexFunc(files, func(f *verify.File) bool { return f.Path == name })
		if i < 0 {
			return bytes.NewReader(nil), 0, &fault.Malformed{Format: "gguf", Where: path.Base(name), Offset: -1, Reason: "part of a split model is missing"}
		}
		return files[i], files[i].Size, nil
	})
	var malformed *fault.Malformed
	if errors.As(err, &malformed) {
		return failed(ev, "%s", storable(malformed.Error())), nil
	}
	if err != nil {
		return finding{evidence: ev}, err
	}
	ev.Tensors = len(g.Tensors)
	for _, t := range g.Tensors {
		ev.Measured += t.Size
	}
	return passed(ev), nil
}
