package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/registry"
)

// maxText bounds what is read of a README, a licence or a config.json, in bytes.
const maxText = 4 << 20

// describe says in a push what is known of the model's files. A model that
// tells little about itself is pushed all the same.
func (e *env) describe(ctx context.Context, s *client.Source, ref client.Reference) (client.Description, error) {
	facts, err := localFacts(ctx, s)
	if err != nil {
		return client.Description{}, err
	}
	d := client.Description{
		Name: ref.Folder(), Family: facts.Architecture, Title: facts.Card.Title, Summary: facts.Card.Summary,
		Architecture: facts.Architecture, Format: facts.Format, Parameters: facts.Parameters, Languages: facts.Card.Languages,
	}
	switch q := strings.ToLower(facts.Quantization); q {
	case "bf16", "f64", "f32", "f16":
		d.Precision = strings.Replace(q, "f", "fp", 1)
		if q == "bf16" {
			d.Precision = q
		}
	default:
		d.Quantization = q
	}
	if facts.License.Declared != "" {
		d.Licenses = []string{facts.License.Declared}
	}
	if facts.Card.Pipeline == "text-generation" {
		d.InputTypes, d.OutputTypes = []string{"text"}, []string{"text"}
	}
	if epoch := e.getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		n, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || n < 0 {
			return d, exit(exitUsage, fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", epoch))
		}
		d.CreatedAt = time.Unix(n, 0)
	}
	return d, nil
}

// localFacts reads what a model on disk says of itself: its card, its
// licence and its config.json.
func localFacts(_ context.Context, s *client.Source) (*registry.Facts, error) {
	facts := &registry.Facts{Format: weightFormat(s)}
	if err := addCard(facts, s); err != nil {
		return nil, err
	}
	p, err := readText(s, "config.json")
	if err != nil || p == nil {
		return facts, err
	}
	var c modelConfig
	if json.Unmarshal(p, &c) != nil {
		return facts, nil // of another form: it has nothing to say here
	}
	facts.Architecture = c.ModelType
	facts.ContextLength, facts.VocabSize, facts.HiddenSize, facts.Layers = c.ContextLength, c.VocabSize, c.HiddenSize, c.Layers
	facts.Quantization = c.quantization()
	return facts, nil
}

// addCard reads README and licence.
func addCard(facts *registry.Facts, s *client.Source) error {
	for _, f := range s.Files {
		name := strings.ToLower(f.Path)
		switch {
		case name == "readme.md":
			p, err := readText(s, f.Path)
			if err != nil {
				return err
			}
			facts.Card = registry.ParseCard(p)
		case facts.License.File == "" && (strings.HasPrefix(name, "license") || strings.HasPrefix(name, "licence")):
			facts.License.File = f.Path
		}
	}
	if l, known := licenses.Lookup(facts.Card.LicenseID); known {
		facts.License.Declared = l.SPDX
	} else if l, known := licenses.Lookup(facts.Card.LicenseName); known {
		facts.License.Declared = l.SPDX
	}
	return nil
}

// modelConfig is what config.json of a Hugging Face folder says.
type modelConfig struct {
	ModelType     string `json:"model_type"`
	TorchDtype    string `json:"torch_dtype"`
	Dtype         string `json:"dtype"`
	ContextLength int64  `json:"max_position_embeddings"`
	VocabSize     int64  `json:"vocab_size"`
	HiddenSize    int64  `json:"hidden_size"`
	Layers        int64  `json:"num_hidden_layers"`
	Quantization  struct {
		Method string `json:"quant_method"`
	} `json:"quantization_config"`
}

func (c *modelConfig) quantization() string {
	if c.Quantization.Method != "" {
		return c.Quantization.Method
	}
	dtype := c.TorchDtype
	if dtype == "" {
		dtype = c.Dtype
	}
	switch dtype {
	case "bfloat16":
		return "BF16"
	case "float16":
		return "F16"
	case "float32":
		return "F32"
	}
	return dtype
}

// readText reads a small file whole; nil when it is not there.
func readText(s *client.Source, name string) ([]byte, error) {
	f, err := s.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return p, nil
}

// formats names the formats of weights by the extensions of their files.
var formats = map[string]string{
	".safetensors": "safetensors", ".gguf": "gguf", ".onnx": "onnx", ".bin": "pytorch", ".pt": "pytorch", ".pth": "pytorch",
	".h5": "keras", ".keras": "keras", ".tflite": "tflite",
}

// weightFormat names the format that most bytes of the weights have.
func weightFormat(s *client.Source) string {
	bytes := make(map[string]int64)
	var best string
	for _, f := range s.Files {
		name := formats[strings.ToLower(path.Ext(f.Path))]
		if name == "" {
			continue
		}
		bytes[name] += f.Size
		if best == "" || bytes[name] > bytes[best] {
			best = name
		}
	}
	return best
}
