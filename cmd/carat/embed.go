package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/inference"
)

// embedFlags are what "carat embed" takes.
type embedFlags struct {
	model   modelFlags
	options inference.EncoderOptions
	pooling string
	asJSON  bool
}

func newEmbedCommand(e *env) *cobra.Command {
	var f embedFlags
	cmd := &cobra.Command{
		Use:   "embed " + modelUse + " [TEXT…]",
		Short: "Print the embeddings of texts",
		Long: `Print the embedding of each text on a line of its own: its numbers with spaces
between them, or with --json an object of text and embedding. Without texts, each
line of standard input is one.

How the states of a text's tokens become one vector, and whether that has length
1, is what the model's files say. Some models want a prompt in front of a text,
such as "query: "; none is added.

` + modelHelp,
		Example: `  carat embed ./my-encoder "A cat sat on the mat." "A feline rested."
  carat embed models.example.org/acme/encoder:v1 --json < lines.txt`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.embed(cmd.Context(), &f, args[0], args[1:])
		},
	}
	f.model.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.pooling, "pooling", "", "how a text's states become one: mean, cls, last or max (default the model's)")
	flags.BoolVar(&f.options.Normalize, "normalize", false, "give embeddings length 1 also where the model does not ask for it")
	flags.BoolVar(&f.options.Truncate, "truncate", false, "cut off what is too long for the model instead of failing")
	flags.IntVar(&f.options.MaxTokens, "max-tokens", 0, "tokens that a text may have (default the model's)")
	flags.BoolVar(&f.asJSON, "json", false, "print a JSON object for each text")
	return cmd
}

// embedBatch is how many texts go through the model together.
const embedBatch = 32

// maxLine bounds a line that is a text, in bytes.
const maxLine = 1 << 20

func (e *env) embed(ctx context.Context, f *embedFlags, arg string, texts []string) (err error) {
	m, err := e.openModel(ctx, &f.model, arg)
	if err != nil {
		return err
	}
	defer closeModel(m, &err)
	f.options.Threads, f.options.Pooling = f.model.threads, inference.Pooling(f.pooling)
	enc, err := m.NewEncoder(f.options)
	if err != nil {
		return err
	}
	defer enc.Close()
	out := bufio.NewWriter(e.stdout)
	show := func(texts []string) error {
		all, err := enc.EmbedAll(ctx, texts)
		if err != nil {
			return err
		}
		for i, v := range all {
			if err := f.print(out, texts[i], v); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	if len(texts) > 0 {
		for i := 0; i < len(texts); i += embedBatch {
			if err := show(texts[i:min(i+embedBatch, len(texts))]); err != nil {
				return err
			}
		}
		return nil
	}
	return e.eachLines(embedBatch, show)
}

// eachLines calls f with the lines of standard input, some at a time.
func (e *env) eachLines(n int, f func([]string) error) error {
	lines := bufio.NewScanner(e.stdin)
	lines.Buffer(nil, maxLine)
	var some []string
	for lines.Scan() {
		if some = append(some, lines.Text()); len(some) < n {
			continue
		}
		if err := f(some); err != nil {
			return err
		}
		some = nil
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line is longer than %s", formatBytes(maxLine))
		}
		return fmt.Errorf("read standard input: %w", err)
	}
	if len(some) == 0 {
		return nil
	}
	return f(some)
}

func (f *embedFlags) print(out *bufio.Writer, text string, v []float32) error {
	if f.asJSON {
		b, err := json.Marshal(struct {
			Text      string    `json:"text"`
			Embedding []float32 `json:"embedding"`
		}{text, v})
		if err != nil {
			return fmt.Errorf("print the embedding: %w", err) // a NaN
		}
		_, err = out.Write(append(b, '\n'))
		return err
	}
	var b []byte
	for i, x := range v {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	_, err := out.Write(append(b, '\n'))
	return err
}
