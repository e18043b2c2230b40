package openness

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComponentOf(t *testing.T) {
	t.Parallel()
	const layer = "application/vnd.cncf.model."
	tests := []struct {
		path, mediaType string
		want            Component
	}{
		{"model.safetensors", "", Parameters},
		{"model-00001-of-00002.safetensors", "", Parameters},
		{"q4/model-Q4_K_M.gguf", "", Parameters},
		{"pytorch_model.bin", "", Parameters},
		{"weights.xyz", layer + "weight.v1.raw", Parameters},
		{"checkpoint-500/model.safetensors", "", Checkpoints},
		{"checkpoint-500/optimizer.pt", "", Metadata},
		{"config.json", "", Architecture},
		{"anything.json", layer + "weight.config.v1.raw", Architecture},
		{"modeling_llama.py", "", Architecture},
		{"train.py", "", TrainingCode},
		{"scripts/run_pretraining.py", "", TrainingCode},
		{"finetune_lora.py", "", TrainingCode},
		{"inference.py", "", InferenceCode},
		{"generate.py", "", InferenceCode},
		{"eval.py", "", EvaluationCode},
		{"run_eval_mmlu.py", "", EvaluationCode},
		{"preprocess_corpus.py", "", Preprocessing},
		{"tokenize_data.py", "", Preprocessing},
		{"prepare_data.sh", "", Preprocessing},
		{"requirements.txt", "", Libraries},
		{"DATA_CARD.md", "", DataCard},
		{"datasheet.pdf", "", DataCard},
		{"technical-report.pdf", "", TechnicalReport},
		{"paper.pdf", "", ResearchPaper},
		{"eval_results.json", "", EvaluationResults},
		{".eval_results/mmlu.yaml", "", EvaluationResults},
		{"sample_outputs.txt", "", SampleOutputs},
		{"trainer_state.json", "", Metadata},
		{"train.jsonl", layer + "dataset.v1.raw", Datasets},
		{"eval.jsonl", layer + "dataset.v1.raw", EvaluationData},
		{"tokenizer.json", "", 0},
		{"LICENSE", layer + "doc.v1.raw", 0},
		{"notes.txt", "", 0},
		{"constrain.py", "", 0},
		{"medieval.py", "", 0},
	}
	for _, tt := range tests {
		if got, _ := componentOf(File{Path: tt.path, MediaType: tt.mediaType}); got != tt.want {
			t.Errorf("%s (%s) is %q, want %q", tt.path, tt.mediaType, got, tt.want)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	got := Detect(
		[]File{{Path: "README.md", Digest: "sha256:a"}, {Path: "model.gguf", Digest: "sha256:b"}, {Path: "model-2.gguf", Digest: "sha256:c"}},
		Card{
			Path: "README.md", Words: 400, Results: true, Datasets: []string{"org/data"},
			Headings: []string{"Intended use", "Evaluation Results", "Data card for the corpus"},
			Links:    []string{"https://example.com/x", "https://arxiv.org/abs/2403.13784", "https://evil.example/arxiv.org/abs/1"},
		})
	card := func(note string) Evidence {
		return Evidence{Grade: Stored, Path: "README.md", Digest: "sha256:a", From: "card", Note: note}
	}
	want := []Claim{
		{Component: Parameters, Evidence: []Evidence{{Grade: Stored, Path: "model.gguf", Digest: "sha256:b", From: "file"}, {Grade: Stored, Path: "model-2.gguf", Digest: "sha256:c", From: "file"}}},
		{Component: ModelCard, Evidence: []Evidence{card("")}},
		{Component: EvaluationResults, Evidence: []Evidence{card("results in the front matter"), card("section “Evaluation Results”")}},
		{Component: DataCard, Evidence: []Evidence{card("section “Data card for the corpus”")}},
		{Component: Datasets, Evidence: []Evidence{{Grade: Declared, From: "card", Note: "org/data"}}},
		{Component: ResearchPaper, Evidence: []Evidence{{Grade: Stated, URL: "https://arxiv.org/abs/2403.13784", From: "card"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := Detect([]File{{Path: "README.md"}}, Card{Path: "README.md", Words: 3}); len(c) != 0 {
		t.Errorf("an empty README is evidence of %v", c)
	}
}

func TestComponents(t *testing.T) {
	t.Parallel()
	if len(Components()) != 17 {
		t.Errorf("%d components, the framework has 17", len(Components()))
	}
	for _, c := range Components() {
		got, ok := ParseComponent(" " + c.String() + " ")
		if !ok || got != c || c.Type() == "" {
			t.Errorf("%d: %q is read as %d", c, c, got)
		}
	}
}
