package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// core is package inference as the checks see it.
type core struct {
	threads int // that read weights; default all cores
}

func (core) facts(ctx context.Context, files verify.Files) (*inference.Facts, error) {
	return inference.Inspect(ctx, sources(files))
}

func (core) fit(ctx context.Context, files verify.Files) error {
	return inference.Fit(ctx, sources(files))
}

func (core) adapter(ctx context.Context, files verify.Files) ([]inference.AdapterModule, error) {
	return inference.InspectAdapter(ctx, sources(files))
}

func (c core) scan(ctx context.Context, files verify.Files, each func(inference.TensorScan) error) error {
	return inference.Scanner{Threads: c.threads}.Scan(ctx, mappable(files), each)
}

func (core) tokenizer(ctx context.Context, files verify.Files) (lexer, error) {
	t, err := inference.ReadTokenizer(ctx, sources(files))
	if err != nil {
		return nil, tokenizerError(err)
	}
	return t, nil
}

func (core) load(ctx context.Context, files verify.Files, threads int) (decoder, error) {
	m, err := inference.Open(ctx, mappable(files))
	if err != nil {
		return nil, err
	}
	return &runnable{m: m, threads: threads}, nil
}

// tokenizerError says of a model without a tokenizer that it cannot be run here.
func tokenizerError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &cannotRunError{"there is no tokenizer of a kind that is known here"}
	}
	return fmt.Errorf("read the tokenizer: %w", err)
}

// sources gives files to package inference to read, by way of File, which
// remembers failures to read.
func sources(files verify.Files) inference.Files {
	list := map[string]inference.Source{}
	for _, f := range files {
		if !f.Packed {
			list[nameInPart(files, f)] = inference.Source{ReaderAt: f, Size: f.Size}
		}
	}
	return inference.FromSources(list)
}

// mappable gives files to package inference to map into memory, where all of
// them are files of this machine.
func mappable(files verify.Files) inference.Files {
	disk := map[string]*os.File{}
	for _, f := range files {
		switch {
		case f.Packed:
		case f.OS() == nil:
			return sources(files)
		default:
			disk[nameInPart(files, f)] = f.OS()
		}
	}
	return inference.FromOpen(disk)
}

// runnable is a model of package inference as the checks see it.
type runnable struct {
	m       *inference.Model
	threads int
}

func (r *runnable) lexer() (lexer, error) {
	t, err := r.m.Tokenizer()
	if err != nil {
		return nil, tokenizerError(err)
	}
	return t, nil
}

func (r *runnable) session(capacity int) session {
	return r.m.NewSession(inference.SessionOptions{Threads: r.threads, Context: capacity})
}

func (r *runnable) encoder() (encoder, error) {
	return r.m.NewEncoder(inference.EncoderOptions{Threads: r.threads, Truncate: true})
}

func (r *runnable) described() *inference.Description { return r.m.Description() }

// promptTime is what chat templates see as the time, so that a report does not depend on it.
var promptTime = time.Date(2025, time.January, 1, 12, 0, 0, 0, time.UTC)

func (r *runnable) prompt(ctx context.Context, messages []inference.Message) (string, error) {
	return r.m.Prompt(ctx, messages, func() time.Time { return promptTime })
}

func (r *runnable) ends() []int                         { return r.m.EndTokens() }
func (r *runnable) embedding(id int) ([]float32, error) { return r.m.Embedding(id) }

func (r *runnable) feedForwardNorms(ctx context.Context, layer int) (in, out []float64, err error) {
	return r.m.FeedForwardNorms(ctx, layer)
}

func (r *runnable) altered(a inference.Alteration) (decoder, error) {
	m, err := r.m.Altered(a)
	if err != nil {
		return nil, err
	}
	return &runnable{m: m, threads: r.threads}, nil
}

func (r *runnable) close() error { return r.m.Close() }
