package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/inference"
)

// quantizeFlags are what "carat quantize" takes.
type quantizeFlags struct {
	model modelFlags
	typ   string
	name  string
	force bool
}

func newQuantizeCommand(e *env) *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:   "quantize SRC DST",
		Short: "Store a model in fewer bits, as one GGUF file",
		Long: `Store the matrices of a model in another type, as one GGUF file, which llama.cpp
and programs built on it run too. SRC is a GGUF file, or a folder of safetensors
with its tokenizer.json, of the Llama, Mistral, Qwen 2, Qwen 3 or Granite family;
it may be a reference, which is pulled into the cache first.

The types: f32, f16 and bf16; q8_0 (8.5 bits a weight, hardly to be told from the
original), q6_k (6.6), q4_k_m (about 4.8: Q4_K, with Q6_K for the output layer and,
in half of the layers, for the values and the feed-forward layer's way back), q4_k
and q4_0 (4.5, with the output layer as Q6_K). Norms, biases and the routers of
experts stay F32. Matrices whose rows are no multiple of a type's block of 256
become Q8_0, or F16 where 32 does not divide them either.

DST gets its name when all of it is written.`,
		Example: `  carat quantize ./my-model my-model-q4_k_m.gguf --type q4_k_m
  carat quantize my-model-f16.gguf my-model-q8_0.gguf --type q8_0`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.quantize(cmd.Context(), &f, args[0], args[1])
		},
	}
	f.model.remote.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.model.file, "file", "", "`NAME` of the GGUF file to read, where a model has several")
	flags.StringVar(&f.typ, "type", "q4_k_m", "what to store matrices as: "+strings.Join(inference.QuantizeTypes(), ", "))
	flags.StringVar(&f.name, "name", "", "the model's name in a file made from a folder (default the folder's)")
	flags.BoolVar(&f.force, "force", false, "replace DST when it is there")
	return cmd
}

func (e *env) quantize(ctx context.Context, f *quantizeFlags, src, dst string) error {
	if _, err := os.Stat(dst); err == nil && !f.force {
		return fmt.Errorf("%s exists (--force replaces it)", dst)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path, err := e.modelPath(ctx, &f.model, src)
	if err != nil {
		return err
	}
	files, err := inference.OpenPath(path)
	if err != nil {
		return err
	}
	name := f.name
	if name == "" {
		if whole, err := filepath.Abs(path); err == nil {
			name = filepath.Base(whole)
		}
	}
	show := e.counter("tensors")
	err = writeAtomically(dst, func(out *os.File) error {
		b := bufio.NewWriterSize(out, 1<<20)
		if err := inference.Quantize(ctx, files, b, inference.QuantizeOptions{Type: strings.ToLower(f.typ), Name: name, Progress: show}); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return fmt.Errorf("quantize %s: %w", src, nameOne(err))
	}
	return e.summarize(ctx, files, dst)
}

// counter returns a function that shows on a terminal how far something is.
func (e *env) counter(what string) func(done, all int) {
	if !isTerminal(e.stderr) {
		return nil
	}
	return func(done, all int) {
		fmt.Fprintf(e.stderr, "\r%d of %d %s", done, all, what)
		if done == all {
			fmt.Fprint(e.stderr, "\r\x1b[K")
		}
	}
}

// summarize prints what became of a model.
func (e *env) summarize(ctx context.Context, src inference.Files, dst string) error {
	before, err := inference.Inspect(ctx, src)
	if err != nil {
		return err
	}
	files, err := inference.OpenPath(dst)
	if err != nil {
		return err
	}
	after, err := inference.Inspect(ctx, files)
	if err != nil {
		return err
	}
	bits := 0.0
	if after.Parameters > 0 {
		bits = 8 * float64(after.Bytes) / float64(after.Parameters)
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %s, %s of weights (%.2f bits each), from %s of %s\n",
		dst, plain(after.Quantization), formatBytes(after.Bytes), bits, formatBytes(before.Bytes), plain(before.Quantization))
	return err
}

// writeAtomically lets write fill a file beside dst, which gets its name when
// all of it is on disk.
func writeAtomically(dst string, write func(*os.File) error) (err error) {
	out, err := os.CreateTemp(filepath.Dir(dst), "."+filepath.Base(dst)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", dst, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if err := errors.Join(write(out), out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), dst)
}
