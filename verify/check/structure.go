package check

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// headersCheck reads the headers.
var headersCheck = check{
	id: idHeaders, level: verify.LevelQuick,
	proves: "The headers are sound: every tensor has a name of its own and lies inside its file, apart from the others, and no shard is missing.",
	run:    readHeaders,
}

type structureEvidence struct {
	Format        string `json:"format"`
	Architecture  string `json:"architecture"`
	Tensors       int    `json:"tensors"`
	Parameters    int64  `json:"parameters"`
	Bytes         int64  `json:"bytes"` // of all tensors
	Quantization  string `json:"quantization,omitempty"`
	Layers        int    `json:"layers,omitempty"`
	HiddenSize    int    `json:"hiddenSize,omitempty"`
	Heads         int    `json:"heads,omitempty"`
	ContextLength int    `json:"contextLength,omitempty"`
	VocabSize     int    `json:"vocabSize,omitempty"`     // declared
	EmbeddingRows int    `json:"embeddingRows,omitempty"` // measured
	Tokens        int    `json:"tokens,omitempty"`        // of the tokenizer

	Opset   int64    `json:"opset,omitempty"`   // of an ONNX graph
	Inputs  []string `json:"inputs,omitempty"`  // the first few
	Outputs []string `json:"outputs,omitempty"` // the first few
	Imports []string `json:"imports,omitempty"` // names in pickles that are not those of plain tensors, the first few
}

func readHeaders(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	var unsupported *fault.Unsupported
	if errors.As(err, &unsupported) {
		if i := slices.IndexFunc(m.files, func(f *verify.File) bool { return f.Packed }); i >= 0 {
			return finding{}, &cannotRunError{"layer " + m.files[i].Path + " is an archive, and there are no weights beside it"}
		}
		if onlyTokenizer(m.files) {
			return finding{}, &cannotRunError{tokenizerAlone}
		}
	}
	if err != nil {
		return finding{}, err
	}
	ev := structureEvidence{
		Format: d.Format, Architecture: storable(d.Architecture), Tensors: len(d.Tensors), Parameters: d.Parameters,
		Bytes: d.Bytes, Quantization: storable(d.Quantization), Layers: d.Layers, HiddenSize: d.HiddenSize, Heads: d.Heads,
		ContextLength: d.ContextLength, VocabSize: d.VocabularySize, EmbeddingRows: d.EmbeddingRows,
	}
	ev.Opset, ev.Inputs, ev.Outputs = graphOf(d)
	ev.Imports = importsOf(d)
	if tok, err := m.tokenizer(ctx); err == nil {
		ev.Tokens = tok.Size() // what is wrong with a tokenizer is the next check's to say
	}
	switch {
	case ev.Tensors == 0 && d.Format == "pickle":
		return finding{evidence: ev}, &cannotRunError{"the pickle holds no tensors: it is listed, never executed"}
	case ev.Tensors == 0 && d.Format == "gguf" && d.Tokenizer != "":
		return finding{evidence: ev}, &cannotRunError{tokenizerAlone}
	case ev.Tensors == 0:
		return failed(ev, "there are no tensors"), nil
	}
	return passed(ev), nil
}

// tokenizerAlone is why a version of a tokenizer and nothing else is not run.
const tokenizerAlone = "the files hold a tokenizer and no weights"

// onlyTokenizer reports whether there is a tokenizer among files, and nothing that could be weights.
func onlyTokenizer(files verify.Files) bool {
	found := false
	for _, f := range files {
		switch base := strings.ToLower(path.Base(f.Path)); {
		case base == "tokenizer.json" || base == "tokenizer.model" || base == "vocab.json" || base == "vocab.txt" || strings.HasSuffix(base, ".tiktoken"):
			found = true
		case hasExt(base, ".safetensors", ".gguf", ".onnx", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".keras", ".msgpack", ".tflite", ".npz"):
			return false
		}
	}
	return found
}
