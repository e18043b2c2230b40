package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

// pollEvery is how often --wait asks for the verification in the long run.
const pollEvery = 2 * time.Second

func newPushCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var jobs int
	var wait bool
	var source string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "push DIR|FILE HOST[:PORT]/ORG/NAME[:TAG]",
		Short: "Push a model",
		Long: `Push a model: a folder as Hugging Face has it (config.json, *.safetensors,
tokenizer files, README.md, LICENSE, …), a folder of GGUF files, or one GGUF
file. Each file becomes one layer of a CNCF ModelPack, byte for byte; hidden
files are left out. Only what the registry lacks is uploaded. The same files
always give the same digest; SOURCE_DATE_EPOCH (seconds), when set, is recorded
as the time of the model's creation.

The last line on standard output is HOST/ORG/NAME@DIGEST; progress goes to
standard error.

Where the rules of lineage find that the model does not keep the terms of what it
was made from, that is told before anything is sent, and with --wait once more of
the bases that the hub has; see carat license check.

--source says from where the files come: the hub signs that you said so, when, and
of which bytes. It does not compare them with the source.

--wait follows the hub's verification of the model. It ends with exit code 0
when the verification passed, and also when the hub cannot run such a model
("unsupported": what could be checked is fine, and it says so); with 1 when
a check failed, the hub's verifier broke, the time is up, or others cannot pull the
version because of findings that its organization blocks or of a policy.`,
		Example: `  carat push examples/tiny-llama localhost:8080/demo/tiny-llama:v1 --wait
  carat push model-q8_0.gguf models.example.org/acme/model:q8_0`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := reference(args[1])
			if err != nil {
				return err
			}
			if !ref.Digest.IsZero() {
				return exit(exitUsage, errors.New("a push needs a tag, not a digest"))
			}
			show := newProgress(e.stderr)
			defer show.close()
			c, err := e.client(&remote, client.Options{Jobs: jobs, Progress: show.event})
			if err != nil {
				return err
			}
			terms := &findings{e: e, told: map[string]bool{}}
			result, err := e.push(cmd.Context(), c, args[0], ref, terms)
			show.close()
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			fmt.Fprintln(e.stderr, summary(result))
			if _, err := fmt.Fprintln(e.stdout, ref.Pinned(result.Digest)); err != nil {
				return err
			}
			if source != "" {
				if err := e.declareSource(cmd.Context(), c, ref, result.Digest, source); err != nil {
					return err
				}
			}
			if !wait {
				return nil
			}
			err = e.await(cmd.Context(), c, ref, result.Digest, timeout)
			return errors.Join(err, terms.hub(cmd.Context(), c, ref, result.Digest))
		},
	}
	remote.register(cmd)
	cmd.Flags().IntVarP(&jobs, "jobs", "j", 4, "how many files to work on at once")
	cmd.Flags().StringVar(&source, "source", "", "`URL[@REVISION]` from which the files were taken, for the hub to sign that you say so")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the verification and exit with 1 when it fails")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Hour, "how long --wait waits, 0 for ever")
	return cmd
}

// declareSource has the hub sign from where a version is said to come.
func (e *env) declareSource(ctx context.Context, c *client.Client, ref client.Reference, d registry.Digest, source string) error {
	uri, revision := source, ""
	if i := strings.LastIndexByte(source, '@'); i > strings.LastIndexByte(source, '/') {
		uri, revision = source[:i], source[i+1:]
	}
	if _, err := c.Hub(ref.Host).DeclareSource(ctx, ref.Name, d, uri, revision); err != nil {
		return fmt.Errorf("the push is complete, but its source is not recorded: %w", err)
	}
	e.say("the hub signed that you say this comes from " + plain(source))
	return nil
}

func (e *env) push(ctx context.Context, c *client.Client, path string, ref client.Reference, terms *findings) (*client.PushResult, error) {
	source, err := client.OpenSource(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := source.Complete(); err != nil {
		return nil, err
	}
	description, err := e.describe(ctx, source, ref, terms)
	if err != nil {
		return nil, err
	}
	p, err := c.Pack(ctx, source, description)
	if err != nil {
		return nil, err
	}
	return c.Push(ctx, p, ref)
}

func summary(r *client.PushResult) string {
	var sent, kept int
	var bytes int64
	for _, b := range r.Blobs {
		if b.Uploaded {
			sent++
			bytes += b.Size
		} else {
			kept++
		}
	}
	return fmt.Sprintf("pushed %s: %d uploaded (%s), %d there already", r.Ref.Tag, sent, formatBytes(bytes), kept)
}

// await prints each check of the verification as it completes.
func (e *env) await(ctx context.Context, c *client.Client, ref client.Reference, d registry.Digest, timeout time.Duration) error {
	fmt.Fprintln(e.stderr, "waiting for the verification …")
	waitCtx := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	printed := 0
	v, err := c.Hub(ref.Host).Await(waitCtx, ref.Name, d, pollEvery, func(v *client.Verification) {
		if v.Report == nil {
			return
		}
		for ; printed < len(v.Report.Results); printed++ {
			fmt.Fprintln(e.stderr, checkLine(v.Report.Results[printed]))
		}
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fmt.Errorf("the verification was not done after %s; the push itself is complete", timeout)
	case errors.Is(err, client.ErrNoHub):
		return fmt.Errorf("the push is complete, but %s is not a hub: there is no verification to wait for", ref.Host)
	case err != nil:
		return fmt.Errorf("the push is complete, but its verification is unknown: %w", err)
	}
	text := v.State
	if v.Report != nil && v.Report.Summary != "" {
		text += ": " + plain(v.Report.Summary)
	}
	switch v.State {
	case client.StatePassed, client.StateUnsupported:
		fmt.Fprintln(e.stderr, "verification", text)
		return nil
	}
	return fmt.Errorf("verification %s", text)
}

func checkLine(r client.CheckResult) string {
	line := fmt.Sprintf("  %-8s %s", r.Outcome, plain(r.ID))
	if r.File != "" {
		line += " of " + plain(r.File)
	}
	if r.Seconds >= 0.05 {
		line += fmt.Sprintf(" (%.1fs)", r.Seconds)
	}
	if r.Reason != "" {
		line += ": " + plain(r.Reason)
	}
	return line
}
