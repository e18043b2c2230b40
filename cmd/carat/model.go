package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/inference"
)

// modelUse is how commands that run a model write what names one.
const modelUse = "HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH"

// modelHelp is what their help says of it.
const modelHelp = `The model is a folder as Hugging Face has it or a GGUF file. A reference is
pulled into the cache first ($XDG_CACHE_HOME/carat, or where the operating
system keeps caches); what is there already is not fetched again. An argument
that exists on disk is a path.`

// modelFlags are what all commands that run a model take.
type modelFlags struct {
	remote   remoteFlags
	file     string
	adapters []string
	threads  int
}

func (f *modelFlags) register(cmd *cobra.Command) {
	f.remote.register(cmd)
	cmd.Flags().StringVar(&f.file, "file", "", "`NAME` of the GGUF file to run, where a model has several")
	cmd.Flags().StringArrayVar(&f.adapters, "adapter", nil, "`PATH` of a low-rank adapter (LoRA) to put on the model: a PEFT folder or a GGUF file (repeatable)")
	cmd.Flags().IntVarP(&f.threads, "threads", "t", 0, "threads that compute (default all cores)")
}

// modelPath returns where the model that the argument names is on disk, after
// pulling it if need be.
func (e *env) modelPath(ctx context.Context, f *modelFlags, arg string) (string, error) {
	path := arg
	if _, err := os.Stat(arg); err != nil {
		ref, rerr := client.ParseReference(arg)
		if rerr != nil {
			return "", exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, rerr))
		}
		if path, err = e.cached(ctx, f, ref); err != nil {
			return "", err
		}
	}
	if f.file == "" {
		return path, nil
	}
	if !filepath.IsLocal(f.file) {
		return "", exit(exitUsage, fmt.Errorf("--file %q leaves the model's folder", f.file))
	}
	return filepath.Join(path, f.file), nil
}

func (e *env) cached(ctx context.Context, f *modelFlags, ref client.Reference) (string, error) {
	cache, err := e.newModelCache()
	if err != nil {
		return "", err
	}
	show := newProgress(e.stderr)
	defer show.close()
	c, err := e.client(&f.remote, client.Options{Progress: show.event})
	if err != nil {
		return "", err
	}
	path, err := cache.get(ctx, c, ref, func(s string) { fmt.Fprintln(e.stderr, s) })
	return path, hint(ctx, c, err, ref)
}

// openModel opens the model that the argument names, to run it.
func (e *env) openModel(ctx context.Context, f *modelFlags, arg string) (*inference.Model, error) {
	path, err := e.modelPath(ctx, f, arg)
	if err != nil {
		return nil, err
	}
	var o inference.OpenOptions
	for _, a := range f.adapters {
		files, err := inference.OpenPath(a)
		if err != nil {
			return nil, err
		}
		o.Adapters = append(o.Adapters, inference.Adapter{Files: files})
	}
	m, err := inference.Load(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", arg, nameOne(err))
	}
	return m, nil
}

// nameOne adds what a user can do about a folder of several models.
func nameOne(err error) error {
	var unsupported *inference.UnsupportedError
	if errors.As(err, &unsupported) && strings.Contains(unsupported.Reason, "by its name") {
		return fmt.Errorf("%w (--file names one)", err)
	}
	return err
}

// closeModel adds a failure to close to the error of what was done with m.
func closeModel(m *inference.Model, err *error) { *err = errors.Join(*err, m.Close()) }
