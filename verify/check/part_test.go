package check

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

func TestPartsOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		paths []string
		want  []string // name and number of files of each part
	}{
		"safetensors":        {[]string{"config.json", "model.safetensors"}, []string{":2"}},
		"one GGUF file":      {[]string{"README.md", "a.gguf"}, []string{":1"}},
		"one in a folder":    {[]string{"README.md", "q8/a.gguf"}, []string{":1"}},
		"no weights":         {[]string{"README.md"}, []string{":1"}},
		"a projector beside": {[]string{"a.gguf", "mmproj-a.gguf"}, []string{":1"}},
		"quantizations":      {[]string{"README.md", "a-q4.gguf", "b/a-q8.gguf"}, []string{"a-q4.gguf:1", "b/a-q8.gguf:1"}},
		"beside safetensors": {[]string{"a.gguf", "config.json", "model.safetensors"}, []string{"model.safetensors:2", "a.gguf:1"}},
		"beside shards":      {[]string{"a.gguf", "model-1.safetensors", "model.safetensors.index.json"}, []string{"model.safetensors.index.json:2", "a.gguf:1"}},
		"a split model":      {[]string{"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"}, []string{":2"}},
		"split models": {
			[]string{"q4/a-00001-of-00002.gguf", "q4/a-00002-of-00002.gguf", "q8/a-00001-of-00002.gguf", "q8/a-00002-of-00002.gguf"},
			[]string{"q4/a-00001-of-00002.gguf:2", "q8/a-00001-of-00002.gguf:2"},
		},
		"safetensors in folders": {[]string{"a.gguf", "unet/model.safetensors"}, []string{":1"}},
	}
	for name, tt := range tests {
		var files verify.Files
		for _, p := range tt.paths {
			files = append(files, &verify.File{Path: p})
		}
		var got []string
		for _, p := range partsOf(files) {
			got = append(got, fmt.Sprintf("%s:%d", p.name, len(p.files)))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTooManyModels(t *testing.T) {
	t.Parallel()
	var files verify.Files
	for i := range maxParts + 1 {
		files = append(files, &verify.File{Path: fmt.Sprintf("%02d.gguf", i)})
	}
	r := Verify(t.Context(), files, verify.RunOptions{})
	every := 0 // checks that are about every model
	for _, c := range checks() {
		if c.about == nil {
			every++
		}
	}
	if r.State != verify.StateUnsupported || r.Summary != "the model cannot be run here: there are 17 models in one version; at most 16 are verified" || len(r.Results) != every {
		t.Errorf("%s: %s, %d results", r.State, r.Summary, len(r.Results))
	}
}

func TestObstacleSentence(t *testing.T) {
	t.Parallel()
	llama, unknown := &inference.Facts{Architecture: "llama"}, &inference.Facts{Architecture: "mamba"}
	tests := map[string]struct {
		err   error
		facts *inference.Facts
		want  string
	}{
		"architecture":         {fault.NewUnsupported("architecture", "no decoder"), unknown, `the architecture "mamba" cannot be run here yet`},
		"feature":              {fault.NewUnsupported("architecture", `rope scaling "x"`), llama, `this model of architecture "llama" cannot be run here yet: rope scaling "x"`},
		"tensor type":          {fmt.Errorf("tensor a: %w", fault.NewUnsupported("tensor type", "IQ1_S")), llama, `tensors of type IQ1_S cannot be read here yet (architecture "llama")`},
		"tokenizer":            {fault.NewUnsupported("tokenizer", "model Unigram"), llama, "the tokenizer cannot be used here yet: model Unigram"},
		"folder":               {fault.NewUnsupported("model folder", "no config.json"), llama, "the model cannot be run here: no config.json"},
		"format before facts":  {fault.NewUnsupported("file format", "weights in .bin files"), nil, "unsupported file format: weights in .bin files"},
		"nothing but a reason": {&cannotRunError{"context too short"}, llama, "the model cannot be run here: context too short"},
	}
	for name, tt := range tests {
		if obstacle(tt.err) == nil {
			t.Errorf("%s is no obstacle", name)
		}
		if got := obstacleSentence(tt.err, tt.facts); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if err := obstacle(errors.New("disk on fire")); err != nil {
		t.Errorf("%v is no obstacle", err)
	}
}
