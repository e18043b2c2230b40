package main

import (
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
)

// maxModelConfig bounds what is read of a config.json, in bytes.
const maxModelConfig = 4 << 20

// describe says in a push what can be known of the model's files. A model
// that tells little about itself is pushed all the same.
func (e *env) describe(s *client.Source, ref client.Reference) (client.Description, error) {
	d := client.Description{Name: ref.Folder(), Format: format(s)}
	config, err := readModelConfig(s)
	if err != nil {
		return d, err
	}
	d.Architecture, d.Family = config.ModelType, config.ModelType
	d.Precision = config.precision()
	d.Quantization = config.Quantization.Method
	if epoch := e.getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		n, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || n < 0 {
			return d, exit(exitUsage, fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", epoch))
		}
		d.CreatedAt = time.Unix(n, 0)
	}
	return d, nil
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

func (c *modelConfig) precision() string {
	dtype := c.TorchDtype
	if dtype == "" {
		dtype = c.Dtype
	}
	switch dtype {
	case "bfloat16":
		return "bf16"
	case "float16":
		return "fp16"
	case "float32":
		return "fp32"
	}
	return dtype
}

// readModelConfig reads config.json; a model without one, or with one of
// another form, has nothing to say there.
func readModelConfig(s *client.Source) (modelConfig, error) {
	var c modelConfig
	f, err := s.Open("config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read config.json: %w", err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxModelConfig))
	if err != nil {
		return c, fmt.Errorf("read config.json: %w", err)
	}
	if json.Unmarshal(p, &c) != nil {
		return modelConfig{}, nil
	}
	return c, nil
}

// format names the format of the weights by their extension, the one with
// most bytes if there are several.
func format(s *client.Source) string {
	names := map[string]string{".safetensors": "safetensors", ".gguf": "gguf", ".onnx": "onnx", ".bin": "pytorch", ".pt": "pytorch", ".pth": "pytorch", ".h5": "keras", ".keras": "keras", ".tflite": "tflite"}
	bytes := make(map[string]int64)
	var best string
	for _, f := range s.Files {
		name := names[strings.ToLower(path.Ext(f.Path))]
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
