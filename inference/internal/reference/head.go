package reference

import (
	"math"
	"strings"
)

// First takes the state of the first token to say something of the sequence (Devlin et al. 2018, section 4.1).
func First(states [][]float64) []float64 { return states[0] }

// Mean takes the mean of the states (Reimers and Gurevych 2019, Sentence-BERT, section 3).
func Mean(states [][]float64) []float64 { return Scale(Add(states...), 1/float64(len(states))) }

// The ends of the names of classes with a head.
const (
	classifier = "ForSequenceClassification"
	tagger     = "ForTokenClassification"
	masked     = "ForMaskedLM"
)

// headNames are the names of what follows an encoder.
type headNames struct {
	dense, norm, out string
	activation       func(float64) float64
}

var (
	bertHeads = map[string]headNames{
		classifier: {dense: "bert.pooler.dense", activation: math.Tanh, out: "classifier"},
		tagger:     {out: "classifier"},
		masked: {
			dense: "cls.predictions.transform.dense", activation: GELU, norm: "cls.predictions.transform.LayerNorm",
			out: "cls.predictions",
		},
	}
	robertaHeads = map[string]headNames{
		classifier: {dense: "classifier.dense", activation: math.Tanh, out: "classifier.out_proj"},
		tagger:     {out: "classifier"},
		masked:     {dense: "lm_head.dense", activation: GELU, norm: "lm_head.layer_norm", out: "lm_head"},
	}
	distilHeads = map[string]headNames{
		classifier: {dense: "pre_classifier", activation: ReLU, out: "classifier"},
		tagger:     {out: "classifier"},
		masked:     {dense: "vocab_transform", activation: GELU, norm: "vocab_layer_norm", out: "vocab_projector"},
	}
	modernHeads = map[string]headNames{
		classifier: {dense: "head.dense", activation: GELU, norm: "head.norm", out: "classifier"},
		tagger:     {dense: "head.dense", activation: GELU, norm: "head.norm", out: "classifier"},
		masked:     {dense: "head.dense", activation: GELU, norm: "head.norm", out: "decoder"},
	}
)

// head sets what follows an encoder: in folders by the class that the configuration names, in GGUF files by the tensors. The
// pooled state of a model that classifies texts is that of the first token unless the configuration says otherwise.
func (r *reader) head(m *Model) {
	m.LogitScale = 1
	if r.GGUF {
		if r.has("cls.output") {
			m.Pool = First
			if r.name == "modern-bert" { // as llama.cpp pools for it
				m.Pool = Mean
			}
			r.headOf(m, headNames{"cls", "cls.norm", "cls.output", r.heads[classifier].activation})
		}
		return
	}
	for _, class := range r.list("", "architectures") {
		for suffix, names := range r.heads {
			if !strings.HasSuffix(class.(string), suffix) {
				continue
			}
			if suffix == classifier {
				if m.Pool = First; r.text("", "classifier_pooling", "cls") == "mean" {
					m.Pool = Mean
				}
			}
			r.names["dense"], r.names["norm"], r.names["out"] = names.dense, names.norm, names.out
			r.headOf(m, headNames{"dense", "norm", "out", names.activation})
		}
	}
}

// headOf sets a head whose tensors have the given roles. One without a last matrix has the embeddings.
func (r *reader) headOf(m *Model, h headNames) {
	if r.has(h.dense) {
		dense, norm := r.linear(h.dense), r.norm(h.norm)
		m.Transform = func(x []float64) []float64 {
			if x = Map(dense.Apply(x), h.activation); norm != nil {
				x = norm(x)
			}
			return x
		}
	}
	if r.has(h.out) {
		m.Output = r.linear(h.out)
		return
	}
	bias, _ := r.tensor(h.out, ".bias")
	m.Output = Linear{Weight: r.linear("token_embd").Weight, Bias: bias.Data}
}
