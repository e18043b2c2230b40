package registry

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	f := &Facts{Format: "gguf", Architecture: "llama", Card: Card{
		Library: "transformers", Pipeline: "text-generation", Tags: []string{"gguf", "demo"}, Languages: []string{"en"}, LicenseID: "mit",
		BaseModels: []string{"acme/base"}, Relation: "quantized", Datasets: []string{"acme/text"},
	}}
	want := []string{
		"transformers", "gguf", "llama", "demo", "text-generation", "en", "dataset:acme/text", "base_model:acme/base", "base_model:quantized:acme/base", "license:mit",
	}
	if diff := cmp.Diff(want, f.Labels()); diff != "" {
		t.Error(diff)
	}
	if got := (*Facts)(nil).Labels(); got == nil || len(got) != 0 {
		t.Errorf("of no facts: %v", got)
	}
	for i := range 2 * maxLabels {
		f.Card.Tags = append(f.Card.Tags, strconv.Itoa(i))
	}
	f.Card.Library = strings.Repeat("x", maxLabelLength+1)
	if got := f.Labels(); len(got) != maxLabels || got[0] != "gguf" {
		t.Errorf("of many: %d, the first is %.20q", len(got), got[0])
	}
}
