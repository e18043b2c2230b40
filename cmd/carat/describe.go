package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
)

// describe says in a push what is known of the model's files. A model that
// tells little about itself is pushed all the same.
func (e *env) describe(ctx context.Context, s *client.Source, ref client.Reference, terms *findings) (client.Description, error) {
	facts, err := localFacts(ctx, s.Path)
	var content *verify.ContentError
	if errors.As(err, &content) && facts != nil {
		err = nil // the registry takes it; verification is what judges it
	}
	if err != nil {
		return client.Description{}, fmt.Errorf("read the facts of %s: %w", s.Path, err)
	}
	terms.local(facts, ref)
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

// localFacts reads the facts of a model on disk. What is wrong with its
// content comes as a *verify.ContentError beside the facts that could be read.
func localFacts(ctx context.Context, path string) (*registry.Facts, error) {
	files, err := verify.OpenPath(path)
	if err != nil {
		return nil, err
	}
	facts, err := check.Inspect(ctx, files)
	if cerr := files.Close(); err == nil && cerr != nil {
		return nil, cerr
	}
	return facts, err
}
