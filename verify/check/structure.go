package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// headersCheck reads the headers and compares what they say.
var headersCheck = check{
	id: idHeaders, level: verify.LevelQuick,
	proves: "The headers are sound, every tensor lies inside its file, no shard is missing, and shapes agree with the configuration and the vocabulary.",
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
	case ev.Tensors == 0:
		return failed(ev, "there are no tensors"), nil
	case ev.EmbeddingRows > 0 && ev.VocabSize > 0 && ev.EmbeddingRows != ev.VocabSize:
		return failed(ev, "the token embedding has %d rows, but the configuration declares a vocabulary of %d", ev.EmbeddingRows, ev.VocabSize), nil
	case ev.EmbeddingRows > 0 && ev.Tokens > ev.EmbeddingRows:
		return failed(ev, "the tokenizer has %d tokens, but the token embedding only %d rows", ev.Tokens, ev.EmbeddingRows), nil
	}
	if wrong := append(missingLayers(d), wrongShapes(d)...); len(wrong) > 0 {
		return failed(ev, "%s", listed(wrong)), nil
	}
	// Loading compares names and shapes with what the architecture needs. That
	// it cannot be run is for later checks to say.
	if err := m.load(ctx); err != nil && !errors.As(err, &unsupported) {
		return finding{evidence: ev}, err
	}
	if ev.Tokens > 0 && ev.Tokens < ev.EmbeddingRows/2 {
		return finding{outcome: verify.OutcomeWarned, evidence: ev, reason: fmt.Sprintf(
			"the tokenizer has %d tokens, less than half of the embedding's %d rows", ev.Tokens, ev.EmbeddingRows)}, nil
	}
	return passed(ev), nil
}
