package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// maxText bounds a text that is read whole, in bytes.
const maxText = 256 << 20

func newPerplexityCommand(e *env) *cobra.Command {
	var f modelFlags
	var text string
	var size int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "perplexity " + modelUse + " --text FILE",
		Short: "Measure how well a model predicts a text",
		Long: `Measure the perplexity of a model on a text, the way llama.cpp does: the text is
cut into chunks of --ctx tokens, each chunk is evaluated alone, and the tokens of
its second half are scored. What remains at the end of the text is left out.
Lower is better; figures compare only between models with the same tokenizer, on
the same text, at the same context.

` + modelHelp,
		Example: `  carat perplexity model-q4_k_m.gguf --text wiki.test.raw --ctx 512`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" {
				return exit(exitUsage, errors.New("--text FILE is missing"))
			}
			return e.perplexity(cmd.Context(), &f, args[0], text, size, asJSON)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&text, "text", "", "`FILE` with the text, - for standard input")
	cmd.Flags().IntVarP(&size, "ctx", "c", 512, "tokens of a chunk")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (e *env) perplexity(ctx context.Context, f *modelFlags, arg, file string, size int, asJSON bool) (err error) {
	text, err := e.readText(file)
	if err != nil {
		return err
	}
	m, err := e.openModel(ctx, f, arg)
	if err != nil {
		return err
	}
	defer closeModel(m, &err)
	p, err := m.Perplexity(ctx, text, size, f.threads)
	if err != nil {
		return err
	}
	switch {
	case p.NotFinite > 0:
		return fmt.Errorf("%d of %d tokens have logits that are not finite", p.NotFinite, p.Scored)
	case asJSON:
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	_, err = fmt.Fprintf(e.stdout, "perplexity %.4f (%d of %d tokens scored, in %d chunks of %d)\n", p.Perplexity, p.Scored, p.Tokens, p.Chunks, size)
	return err
}

// readText reads a whole file, or standard input for "-".
func (e *env) readText(file string) (string, error) {
	in := e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxText+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", file, err)
	case len(b) > maxText:
		return "", fmt.Errorf("read %s: more than %s", file, formatBytes(maxText))
	}
	return string(b), nil
}
