package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
)

// Description is what a ModelPack config says about a model beside its
// files. All of it is optional; empty fields are left out. The caller fills
// it with what it knows of the model.
type Description struct {
	CreatedAt   time.Time // of the model, from a reproducible source; zero leaves it out, so that equal folders get equal digests
	Authors     []string
	Family      string // "llama", "qwen2" …
	Name        string // short name
	Version     string
	Vendor      string
	Title       string // for people
	Summary     string // goes into "description"
	DocURL      string
	SourceURL   string
	DatasetsURL []string
	Revision    string   // of the source
	Licenses    []string // SPDX expressions

	Architecture string // "transformer", "llama" …
	Format       string // "safetensors", "gguf" …
	Parameters   int64  // exact count; written rounded, as the specification has it ("2.9M")
	Precision    string // "bf16", "fp16" …
	Quantization string // "q8_0", "awq" …
	InputTypes   []string
	OutputTypes  []string
	Languages    []string // ISO 639-1; what is not two lower-case letters is left out
}

// The JSON form of a ModelPack v0.0.7 config. Its schema allows no other
// fields. Source: modelpack/model-spec docs/config.md, schema/config-schema.json.
type packConfig struct {
	Descriptor packDescriptor `json:"descriptor"`
	Config     packModel      `json:"config"`
	ModelFS    packFS         `json:"modelfs"`
}

type packDescriptor struct {
	CreatedAt   *time.Time `json:"createdAt,omitempty"`
	Authors     []string   `json:"authors,omitempty"`
	Family      string     `json:"family,omitempty"`
	Name        string     `json:"name,omitempty"`
	DocURL      string     `json:"docURL,omitempty"`
	SourceURL   string     `json:"sourceURL,omitempty"`
	DatasetsURL []string   `json:"datasetsURL,omitempty"`
	Version     string     `json:"version,omitempty"`
	Revision    string     `json:"revision,omitempty"`
	Vendor      string     `json:"vendor,omitempty"`
	Licenses    []string   `json:"licenses,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
}

type packModel struct {
	Architecture string            `json:"architecture,omitempty"`
	Format       string            `json:"format,omitempty"`
	ParamSize    string            `json:"paramSize,omitempty"`
	Precision    string            `json:"precision,omitempty"`
	Quantization string            `json:"quantization,omitempty"`
	Capabilities *packCapabilities `json:"capabilities,omitempty"`
}

type packCapabilities struct {
	InputTypes  []string `json:"inputTypes,omitempty"`
	OutputTypes []string `json:"outputTypes,omitempty"`
	Languages   []string `json:"languages,omitempty"`
}

type packFS struct {
	Type    string            `json:"type"`
	DiffIDs []registry.Digest `json:"diffIds"`
}

// config encodes the description with the layers' digests, which for raw
// layers are the diff ids.
func (d *Description) config(layers []registry.Digest) ([]byte, error) {
	c := packConfig{
		Descriptor: packDescriptor{
			Authors: d.Authors, Family: d.Family, Name: d.Name, DocURL: d.DocURL, SourceURL: d.SourceURL, DatasetsURL: d.DatasetsURL,
			Version: d.Version, Revision: d.Revision, Vendor: d.Vendor, Licenses: d.Licenses, Title: d.Title, Description: d.Summary,
		},
		Config: packModel{
			Architecture: d.Architecture, Format: d.Format, ParamSize: ParamSize(d.Parameters), Precision: d.Precision, Quantization: d.Quantization,
		},
		ModelFS: packFS{Type: "layers", DiffIDs: layers},
	}
	if !d.CreatedAt.IsZero() {
		t := d.CreatedAt.UTC().Truncate(time.Second)
		c.Descriptor.CreatedAt = &t
	}
	capabilities := packCapabilities{InputTypes: d.InputTypes, OutputTypes: d.OutputTypes}
	for _, l := range d.Languages {
		if len(l) == 2 && 'a' <= l[0] && l[0] <= 'z' && 'a' <= l[1] && l[1] <= 'z' {
			capabilities.Languages = append(capabilities.Languages, l)
		}
	}
	if len(capabilities.InputTypes)+len(capabilities.OutputTypes)+len(capabilities.Languages) > 0 {
		c.Config.Capabilities = &capabilities
	}
	p, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode model config: %w", err)
	}
	return p, nil
}

// ParamSize renders a parameter count as ModelPack has it, a number with at
// most one decimal and a scale letter: 2885888 is "2.9M". Counts below a
// thousand have no letter in the specification and are left out as "".
func ParamSize(n int64) string {
	const scales = "KMBTQ"
	if n < 1000 {
		return ""
	}
	v, i := float64(n)/1000, 0
	for v >= 999.95 && i < len(scales)-1 {
		v, i = v/1000, i+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + scales[i:i+1]
}
