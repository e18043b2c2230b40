package check

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// FuzzInspect reads headers and configuration of hostile models. Whatever
// they are, there is an answer, and its words can be stored.
func FuzzInspect(f *testing.F) {
	config, err := os.ReadFile("../../examples/tiny-llama/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(config, []byte("\x40\x00\x00\x00\x00\x00\x00\x00"+`{"model.norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`+"    1234"), false)
	f.Add([]byte(`{"vocab_size":1e300,"num_hidden_layers":-1,"text_config":{"hidden_size":8}}`), []byte("GGUF\x03\x00\x00\x00"), true)
	f.Add([]byte(`{"head_dim":4e9,"num_attention_heads":4e9,"hidden_size":4e9,"model_type":"llama"}`), []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), false)
	f.Fuzz(func(t *testing.T, config, weights []byte, gguf bool) {
		name := "model.safetensors"
		if gguf {
			name = "model.gguf"
		}
		files := verify.Files{
			verify.NewFile("config.json", int64(len(config)), registry.Digest{}, bytes.NewReader(config)),
			verify.NewFile(name, int64(len(weights)), registry.Digest{}, bytes.NewReader(weights)),
		}
		facts, err := Inspect(t.Context(), files)
		var panicked *inference.PanicError
		if errors.As(err, &panicked) {
			t.Fatal(err)
		}
		if facts == nil {
			t.Fatalf("no facts: %v", err)
		}
		for _, s := range []string{facts.Architecture, facts.Quantization, facts.Tokenizer} {
			if s != storable(s) {
				t.Fatalf("%q cannot be stored", s)
			}
		}
		for _, b := range facts.Bases {
			if b.Name != storable(b.Name) {
				t.Fatalf("%q cannot be stored", b.Name)
			}
		}
		if facts.Parameters < 0 || facts.Layers < 0 || facts.VocabSize < 0 {
			t.Fatalf("negative sizes: %+v", facts)
		}
		if f, err := (core{}).facts(t.Context(), files); err == nil {
			missingLayers(f)
		}
	})
}
