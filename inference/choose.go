package inference

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
)

// weightFiles says which of a model's files hold its weights: those that the index names, one GGUF file or the parts of a split
// one in order, or safetensors. Those of the other formats are looked into and not run.
type weightFiles struct {
	index             bool
	gguf, safetensors []string

	pickleIndex  bool
	pickle, onnx string
}

// otherWeights are the extensions of weights in formats that are not read.
var otherWeights = []string{".h5", ".msgpack", ".tflite", ".keras"}

// shardName is what the parts of one model are called, which only an index puts together.
var shardName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`-\d{5}-of-\d{5}\.safetensors$`) })

// chooseWeights picks the weights by name. It returns a *fault.Malformed for shards without their index and a
// *fault.Unsupported when there is nothing to pick, or no telling what.
func chooseWeights(names []string) (weightFiles, error) {
	var ggufs, tensors []string
	nested, other := false, ""
	for _, n := range names {
		base := strings.ToLower(path.Base(n))
		ext := path.Ext(base)
		switch {
		case strings.Contains(n, "/"):
			nested = nested || ext == ".safetensors" || ext == ".gguf"
		case ext == ".gguf":
			ggufs = append(ggufs, n)
		case ext == ".safetensors":
			tensors = append(tensors, n)
		case slices.Contains(otherWeights, ext):
			other = ext
		}
	}
	slices.Sort(tensors)
	if isProjector := func(n string) bool { return strings.HasPrefix(strings.ToLower(n), "mmproj") }; len(ggufs) > 1 {
		// What turns pictures into embeddings lies beside the model that reads them.
		ggufs = slices.DeleteFunc(ggufs, isProjector)
	}
	models := ggufModels(ggufs)
	switch {
	case slices.Contains(names, safetensors.IndexName):
		return weightFiles{index: true}, nil
	case slices.Contains(names, weightsName):
		return weightFiles{safetensors: []string{weightsName}}, nil
	case slices.Contains(names, adapterWeightsName) && slices.Contains(names, adapterConfigName):
		return weightFiles{safetensors: []string{adapterWeightsName}}, nil
	case len(tensors) > 1 && slices.ContainsFunc(tensors, shardName().MatchString):
		return weightFiles{}, &fault.Malformed{Format: "safetensors", Where: safetensors.IndexName, Offset: -1, Reason: "shards without an index"}
	case len(tensors) > 0:
		return weightFiles{safetensors: tensors}, nil
	case len(models) == 1:
		return weightFiles{gguf: models[0]}, nil
	case len(models) > 1:
		return weightFiles{}, fault.NewUnsupported("model folder", "%d models in GGUF files; open one of them by its name", len(models))
	}
	w, ok, err := chooseListed(names)
	switch {
	case ok && (w.onnx == "" || !nested):
		return w, nil
	case nested:
		return weightFiles{}, fault.NewUnsupported("model folder", "the weights are in folders of their own, as of a model made of several")
	case err != nil:
		return weightFiles{}, err
	case other != "":
		return weightFiles{}, fault.NewUnsupported("file format", "weights in %s files", other)
	}
	return weightFiles{}, fault.NewUnsupported("file format", "no safetensors or GGUF file among %d files", len(names))
}

// ggufModels returns the files of each model among GGUF files. A model that is split is all its parts, whether or not they are
// there.
func ggufModels(names []string) [][]string {
	var models [][]string
	for _, n := range names {
		files := []string{n}
		if p, split := gguf.ParsePart(n); split {
			files = p.Names()
		}
		if !slices.ContainsFunc(models, func(m []string) bool { return m[0] == files[0] }) {
			models = append(models, files)
		}
	}
	return models
}
