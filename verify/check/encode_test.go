package check

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// fakeEncoder answers with the vectors that fakeEngine.logits gives, one for each call, and with those as scores of two labels.
type fakeEncoder struct{ e *fakeEngine }

func (f fakeEncoder) Embed(context.Context, string) ([]float32, error) {
	f.e.calls++
	return f.e.logits(f.e.calls), nil
}

func (f fakeEncoder) Classify(context.Context, string) ([]inference.LabelScore, error) {
	var scores []inference.LabelScore
	for _, v := range f.e.logits(f.e.calls) {
		scores = append(scores, inference.LabelScore{Label: "l", Logit: v, Probability: 0.5})
	}
	return scores, nil
}

func (f fakeEncoder) Tag(ctx context.Context, text string) ([]inference.TokenScores, error) {
	s, err := f.Classify(ctx, text)
	return []inference.TokenScores{{Scores: s}, {Scores: s}}, err
}

func (fakeEncoder) Labels() []string { return []string{"a", "b"} }
func (fakeEncoder) Close()           {}

func TestRunCheckJudgesVectors(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	good := [][]float32{{1, 2}, {1, 3}, {2, -1}}
	vectors := func(list [][]float32) func(int) []float32 {
		return func(call int) []float32 { return list[(call-1)%len(list)] }
	}
	tests := map[string]struct {
		task    inference.Task
		vectors [][]float32
		outcome verify.Outcome
		reason  string
	}{
		"embeddings":      {inference.FeatureExtraction, good, verify.OutcomePassed, ""},
		"a classifier":    {inference.TextClassification, good, verify.OutcomePassed, ""},
		"tags":            {inference.TokenClassification, good, verify.OutcomePassed, ""},
		"words":           {inference.FillMask, good, verify.OutcomePassed, ""},
		"NaN":             {inference.FeatureExtraction, [][]float32{{1, 2}, {1, nan}}, verify.OutcomeFailed, "output 1 is NaN"},
		"zeros":           {inference.FeatureExtraction, [][]float32{{0, 0}}, verify.OutcomeFailed, "all outputs are zero"},
		"nothing":         {inference.FeatureExtraction, [][]float32{{}}, verify.OutcomeFailed, "there are no outputs"},
		"the same vector": {inference.FeatureExtraction, [][]float32{{1, 2}}, verify.OutcomeFailed, "different texts have the same vector"},
		"strange nearness": {
			inference.FeatureExtraction, [][]float32{{1, 2}, {2, -1}, {1, 3}}, verify.OutcomeWarned, "texts that say the same are no closer (0) than others (0.9899)",
		},
		"nearness of a classifier": {inference.TextClassification, [][]float32{{1, 2}, {2, -1}, {1, 3}}, verify.OutcomePassed, ""},
		"other vectors later":      {inference.FeatureExtraction, append(good[:3:3], []float32{1, 2.5}, []float32{1, 3}, []float32{2, -1}), verify.OutcomeFailed, "two runs on the same texts differ"},
		"too many scores":          {inference.TextClassification, [][]float32{{1, 2, 3}}, verify.OutcomeFailed, "there are 3 scores for 2 labels"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{engine: &fakeEngine{logits: vectors(tt.vectors), known: inference.Facts{Task: tt.task}}}
			f, err := outputs(t.Context(), m)
			if err != nil || f.outcome != tt.outcome || f.reason != tt.reason {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
			p, err := predict(t.Context(), m)
			if err != nil || p.outcome != verify.OutcomeSkipped || !p.excused || !strings.Contains(p.reason, string(tt.task)) {
				t.Errorf("perplexity: %+v, %v", p, err)
			}
		})
	}
}

// writeBERT writes a random BERT for letters with a head of two labels.
func writeBERT(t *testing.T) string {
	t.Helper()
	const hidden, feed, positions = 16, 24, 64
	dir := t.TempDir()
	write := func(name string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vocab := map[string]int{"[UNK]": 0}
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789,." {
		vocab[string(c)] = len(vocab)
		vocab["##"+string(c)] = len(vocab)
	}
	write("config.json", map[string]any{
		"model_type": "bert", "architectures": []string{"BertForSequenceClassification"}, "hidden_size": hidden, "intermediate_size": feed,
		"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": positions, "vocab_size": len(vocab),
		"id2label": map[string]string{"0": "dull", "1": "bright"},
	})
	write("tokenizer.json", map[string]any{
		"model":      map[string]any{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
		"normalizer": map[string]any{"type": "BertNormalizer", "lowercase": true}, "pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"decoder": map[string]any{"type": "WordPiece", "prefix": "##", "cleanup": true},
	})
	header, data := map[string]any{}, []byte(nil)
	r := rand.New(rand.NewPCG(5, 6))
	add := func(name string, shape ...int) {
		n := shape[0]
		if len(shape) > 1 {
			n *= shape[1]
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{len(data), len(data) + 4*n}}
		for range n {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(r.NormFloat64()*0.3)))
		}
	}
	linear := func(name string, rows, cols int) {
		add(name+".weight", rows, cols)
		add(name+".bias", rows)
	}
	norm := func(name string) {
		add(name+".weight", hidden)
		add(name+".bias", hidden)
	}
	add("bert.embeddings.word_embeddings.weight", len(vocab), hidden)
	add("bert.embeddings.position_embeddings.weight", positions, hidden)
	add("bert.embeddings.token_type_embeddings.weight", 2, hidden)
	norm("bert.embeddings.LayerNorm")
	const layer = "bert.encoder.layer.0."
	for _, name := range []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"} {
		linear(layer+name, hidden, hidden)
	}
	norm(layer + "attention.output.LayerNorm")
	linear(layer+"intermediate.dense", feed, hidden)
	linear(layer+"output.dense", hidden, feed)
	norm(layer + "output.LayerNorm")
	linear("bert.pooler.dense", hidden, hidden)
	linear("classifier", 2, hidden)
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	p := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), append(p, data...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEncoderPasses verifies a folder with nothing in place of the inference core.
func TestEncoderPasses(t *testing.T) {
	t.Parallel()
	files, err := verify.OpenPath(writeBERT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	r := Verify(t.Context(), files, verify.RunOptions{})
	if r.State != verify.StatePassed {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
	for _, res := range r.Results {
		switch res.ID {
		case idOutputs:
			var ev encodeEvidence
			if err := json.Unmarshal(res.Evidence, &ev); err != nil || ev.Size != 16 || len(ev.Texts) != 3 || ev.Texts[0].Label == "" {
				t.Errorf("evidence %s, %v", res.Evidence, err)
			}
		case idPerplexity:
			if res.Outcome != verify.OutcomeSkipped || !strings.Contains(res.Reason, "text-classification") {
				t.Errorf("perplexity: %+v", res)
			}
		case idRoundTrip:
			if res.Outcome != verify.OutcomeWarned {
				t.Errorf("tokenizer: %+v", res)
			}
		}
	}
}
