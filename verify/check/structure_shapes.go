package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// shapesCheck compares tensors with what the configuration says of them. What an architecture wants, package inference knows.
var shapesCheck = check{
	id: idShapes, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "Every tensor that the configuration calls for is there, with its shape and a type that fits, and the embedding has a row for each token.",
	run:    compareShapes,
}

type shapesEvidence struct {
	Architecture  string `json:"architecture,omitempty"`
	Layers        int    `json:"layers,omitempty"`
	VocabSize     int    `json:"vocabSize,omitempty"`     // declared
	EmbeddingRows int    `json:"embeddingRows,omitempty"` // measured
	Tokens        int    `json:"tokens,omitempty"`        // of the tokenizer
	DeclaredType  string `json:"declaredType,omitempty"`  // of the elements
	StoredType    string `json:"storedType,omitempty"`    // that most elements have
	Compared      bool   `json:"compared"`                // every tensor with what the architecture wants
}

func compareShapes(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if base, _, err := m.adapterOn(ctx); err != nil {
		return finding{}, err
	} else if base != nil {
		return excused("an adapter has the shapes of its base, which %s compares", idBaseAdapter), nil
	}
	ev := shapesEvidence{
		Architecture: storable(d.Architecture), Layers: d.Layers, VocabSize: d.VocabularySize, EmbeddingRows: d.EmbeddingRows,
	}
	if tok, err := m.tokenizer(ctx); err == nil {
		ev.Tokens = tok.Size() // what is wrong with a tokenizer is for its own check to say
	}
	switch {
	case ev.EmbeddingRows > 0 && ev.VocabSize > 0 && ev.EmbeddingRows != ev.VocabSize:
		return failed(ev, "the token embedding has %d rows, but the configuration declares a vocabulary of %d", ev.EmbeddingRows, ev.VocabSize), nil
	case ev.EmbeddingRows > 0 && ev.Tokens > ev.EmbeddingRows:
		return failed(ev, "the tokenizer has %d tokens, but the token embedding only %d rows", ev.Tokens, ev.EmbeddingRows), nil
	}
	if missing := missingLayers(d); missing != "" {
		return failed(ev, "%s", missing), nil
	}
	err = m.engine.fit(ctx, m.part.files)
	var malformed *fault.Malformed
	if errors.As(err, &malformed) {
		return failed(ev, "%s", storable(malformed.Error())), nil
	}
	odd, derr := elementTypes(m, d, &ev)
	if derr != nil {
		return finding{}, derr
	}
	if err != nil {
		return finding{evidence: ev}, err // what cannot be run cannot be compared
	}
	ev.Compared = true
	if d.OtherVocabulary > 0 {
		odd = append(odd, fmt.Sprintf("a vocabulary of %d is declared, but the list has %d tokens", d.OtherVocabulary, d.VocabularySize))
	}
	if ev.Tokens > 0 && ev.Tokens < ev.EmbeddingRows/2 {
		odd = append(odd, fmt.Sprintf("the tokenizer has %d tokens, less than half of the embedding's %d rows", ev.Tokens, ev.EmbeddingRows))
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// layerPrefixes are what comes before a layer's number in tensor names.
var layerPrefixes = []string{"model.layers.", "blk."}

// maxLayers bounds what a configuration may declare.
const maxLayers = 10_000

// missingLayers says which of the layers that the configuration declares has no tensors, "" for none, whatever the
// architecture. More than it declares is in order: some models carry a layer that predicts further tokens; an ONNX graph may
// fold any tensor into others.
func missingLayers(f *inference.Facts) string {
	seen := map[int]bool{}
	for _, t := range f.Tensors {
		for _, p := range layerPrefixes {
			if tail, ok := strings.CutPrefix(t.Name, p); ok {
				var n int
				if _, err := fmt.Sscanf(tail, "%d.", &n); err == nil {
					seen[n] = true
				}
			}
		}
	}
	switch {
	case len(seen) == 0 || f.Layers == 0 || f.Format == "onnx":
		return ""
	case f.Layers > maxLayers:
		return fmt.Sprintf("the configuration declares %d layers", f.Layers)
	}
	for n := range f.Layers {
		if !seen[n] {
			return fmt.Sprintf("layer %d of %d has no tensors", n, f.Layers)
		}
	}
	return ""
}

// typeNames are the element types by their names in config.json.
var typeNames = map[string]string{"float32": "F32", "float": "F32", "float16": "F16", "half": "F16", "bfloat16": "BF16", "float64": "F64"}

// elementTypes compares the type of elements that config.json declares with what most elements have. Weights of a
// quantization library have types of their own.
func elementTypes(m *model, d *inference.Facts, ev *shapesEvidence) (odd []string, err error) {
	if d.Format != "safetensors" && d.Format != "pytorch" || len(d.DTypes) == 0 {
		return nil, nil
	}
	config, err := documentAt(m.part.files, "config.json")
	if err != nil || config == nil || config.object("quantization_config") != nil {
		return nil, err
	}
	declared := config.text("torch_dtype")
	if declared == "" {
		declared = config.text("dtype")
	}
	declared = typeNames[strings.TrimPrefix(declared, "torch.")]
	ev.DeclaredType, ev.StoredType = declared, d.DTypes[0].DType
	if declared != "" && declared != ev.StoredType {
		odd = append(odd, fmt.Sprintf("the configuration declares elements of type %s, most are %s", declared, ev.StoredType))
	}
	return odd, nil
}
