package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Claims is what an artifact's config says of the model, as far as it says
// anything: words of whoever packed it, not measurements.
type Claims struct {
	Title        string
	Summary      string
	Architecture string
	Format       string
	ParamSize    string // as ModelPack writes it, "2.9M"
	Precision    string
	Quantization string
	Licenses     []string
	Languages    []string
}

// Claims reads the config of a ModelPack, under its present name or the one
// before v0.0.7. Other artifacts have none: the result is empty.
// Errors: ErrDigest, *ResponseError.
func (c *Client) Claims(ctx context.Context, a *Artifact) (Claims, error) {
	if !strings.HasPrefix(a.Config.MediaType, "application/vnd.cncf.model.config.") &&
		!strings.HasPrefix(a.Config.MediaType, "application/vnd.cnai.model.config.") {
		return Claims{}, nil
	}
	p, err := c.Blob(ctx, a, a.Config, maxConfig)
	if err != nil {
		return Claims{}, err
	}
	return parseClaims(p)
}

func parseClaims(p []byte) (Claims, error) {
	var m struct {
		Descriptor packDescriptor `json:"descriptor"`
		Config     packModel      `json:"config"`
	}
	if err := json.Unmarshal(p, &m); err != nil {
		return Claims{}, fmt.Errorf("read model config: %w", err)
	}
	claims := Claims{
		Title: m.Descriptor.Title, Summary: m.Descriptor.Description, Licenses: m.Descriptor.Licenses,
		Architecture: m.Config.Architecture, Format: m.Config.Format, ParamSize: m.Config.ParamSize,
		Precision: m.Config.Precision, Quantization: m.Config.Quantization,
	}
	if claims.Title == "" {
		claims.Title = m.Descriptor.Name
	}
	if m.Config.Capabilities != nil {
		claims.Languages = m.Config.Capabilities.Languages
	}
	return claims, nil
}
