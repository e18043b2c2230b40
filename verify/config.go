package verify

import (
	"encoding/json"
	"math"

	"github.com/carat-hub/carat/inference/fault"
)

// maxConfig is how many bytes of a configuration file are read.
const maxConfig = 4 << 20

// modelConfig is what the facts take from config.json. Numbers are floats
// because some writers give them so; models that see and hear have the
// language model's figures in text_config.
type modelConfig struct {
	ModelType     string       `json:"model_type"`
	Architectures []string     `json:"architectures"`
	Context       float64      `json:"max_position_embeddings"`
	NPositions    float64      `json:"n_positions"`
	Vocab         float64      `json:"vocab_size"`
	Hidden        float64      `json:"hidden_size"`
	NEmbd         float64      `json:"n_embd"`
	Layers        float64      `json:"num_hidden_layers"`
	NLayer        float64      `json:"n_layer"`
	Heads         float64      `json:"num_attention_heads"`
	KVHeads       float64      `json:"num_key_value_heads"`
	HeadDim       float64      `json:"head_dim"`
	Intermediate  float64      `json:"intermediate_size"`
	Text          *modelConfig `json:"text_config"`
	Quantization  struct {
		Method string `json:"quant_method"`
	} `json:"quantization_config"`
}

// readConfig reads config.json and looks for tokenizer and chat template.
func (d *description) readConfig(files Files, f *File) error {
	var c modelConfig
	if err := decodeJSON(f, &c); err != nil {
		return err
	}
	d.facts.Architecture = storable(c.ModelType)
	if c.ModelType == "" && len(c.Architectures) > 0 {
		d.facts.Architecture = storable(c.Architectures[0])
	}
	d.facts.Quantization = storable(c.Quantization.Method)
	t := &c
	if c.Text != nil && c.Hidden == 0 {
		t = c.Text
	}
	d.facts.ContextLength = whole(t.Context, t.NPositions)
	d.facts.HiddenSize = whole(t.Hidden, t.NEmbd)
	d.facts.Layers = whole(t.Layers, t.NLayer)
	d.facts.VocabSize = whole(t.Vocab)
	d.dims = dimensions{
		hidden: d.facts.HiddenSize, heads: whole(t.Heads), kvHeads: whole(t.KVHeads, t.Heads),
		headDim: whole(t.HeadDim), inner: whole(t.Intermediate), vocab: d.facts.VocabSize,
	}
	return d.readTokenizerFacts(files)
}

// readTokenizerFacts says which tokenizer there is and whether the model has
// a chat template. What is wrong with either is for the checks to say.
func (d *description) readTokenizerFacts(files Files) error {
	switch {
	case files.Lookup("tokenizer.json") != nil:
		d.facts.Tokenizer = "tokenizer.json"
	case files.Lookup("tokenizer.model") != nil:
		d.facts.Tokenizer = "sentencepiece"
	case files.Lookup("vocab.txt") != nil:
		d.facts.Tokenizer = "wordpiece"
	}
	d.facts.ChatTemplate = files.Lookup("chat_template.jinja") != nil || files.Lookup("chat_template.json") != nil
	f := files.Lookup("tokenizer_config.json")
	if f == nil || d.facts.ChatTemplate {
		return nil
	}
	var c struct {
		ChatTemplate json.RawMessage `json:"chat_template"` // a string, or a list of named ones
	}
	if err := decodeJSON(f, &c); err != nil {
		return err
	}
	d.facts.ChatTemplate = len(c.ChatTemplate) > 0 && string(c.ChatTemplate) != "null"
	return nil
}

// decodeJSON reads a small JSON file. Errors: *fault.Malformed.
func decodeJSON(f *File, into any) error {
	if f.Size > maxConfig {
		return &fault.Malformed{Format: f.Path, Offset: -1, Reason: "file is too large"}
	}
	p, err := f.head(maxConfig)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(p, into); err != nil {
		return &fault.Malformed{Format: f.Path, Offset: -1, Reason: err.Error()}
	}
	return nil
}

// whole returns the first of the numbers that is a positive integer.
func whole(numbers ...float64) int64 {
	for _, n := range numbers {
		if n >= 1 && n <= 1<<40 && n == math.Trunc(n) {
			return int64(n)
		}
	}
	return 0
}
