package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// Exit codes of "carat verify", beside 0 for a pass.
const (
	exitVerifyFailed = 1
	exitVerifyNotRun = 2
)

// verifyFlags are what "carat verify" takes.
type verifyFlags struct {
	remote  remoteFlags
	sandbox sandboxFlag
	level   string
	asJSON  bool
	threads int
	timeout time.Duration
	bases   []string
}

func newVerifyCommand(e *env) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH",
		Short: "Verify that a model is whole and runs",
		Long: `Load a model and run it, here and now, with the checks that a hub's verification
does: structure of the files, digests, weights free of NaN and infinities,
tokenizer, generation, perplexity of a text. A reference is pulled into a
temporary folder first. An argument that exists on disk is a path: a folder as
Hugging Face has it, or one GGUF file; there the digest check is skipped, as
there is no manifest to compare with. Where several GGUF files lie side by side,
such as quantizations of one model, each of them is checked.

With --base the weights are compared with those of another model here: is this a
quantization or a fine-tune of it, does the adapter fit it, is the merge a
mixture of the two? NAME is the name by which the model's card calls the base.

The checks run in a child process that can do nothing but compute: no files but
the model's, no network, bounded memory and time. Where the system cannot give
such a sandbox that is an error, unless --sandbox asks for less.

Each check is printed as it completes, the verdict last. With --json the report
is printed on standard output and the checks on standard error.

Exit codes: 0 the model passed; 1 a check failed; 2 it could not be run, because
this program does not support the model's architecture or tensor types (then
all that could be checked is fine, and the reason is printed), because of an
error such as a lost connection or the time limit, or because of wrong usage.`,
		Example: `  carat verify examples/tiny-llama
  carat verify localhost:8080/demo/tiny-llama:v1 --json
  carat verify my-model-q4_k_m.gguf --base ./my-model`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.verify(cmd.Context(), &f, args[0])
		},
	}
	f.remote.register(cmd)
	f.sandbox.register(cmd.Flags())
	cmd.Flags().StringVar(&f.level, "level", string(verify.LevelStandard), "how much is checked: quick, standard or full")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	cmd.Flags().IntVar(&f.threads, "threads", 0, "threads that compute (default all cores)")
	cmd.Flags().StringArrayVar(&f.bases, "base", nil, "[NAME=]PATH: compare the weights with those of a base; once for each")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 30*time.Minute, "how long the checks may take")
	return cmd
}

func (e *env) verify(ctx context.Context, f *verifyFlags, arg string) (err error) {
	level, err := verify.ParseLevel(f.level)
	if err != nil {
		return exit(exitUsage, fmt.Errorf("--level: %w", err))
	}
	checks, err := f.sandbox.checks()
	if err != nil {
		return err
	}
	files, subject, closeFiles, err := e.verifiable(ctx, f, arg)
	if err != nil {
		return notRun(err)
	}
	defer closeFiles()
	bases, err := openBases(f.bases)
	if err != nil {
		return notRun(err)
	}
	defer func() {
		for _, b := range bases {
			_ = b.Files.Close() // files that were only read
		}
	}()
	table := e.stdout
	if f.asJSON {
		table = e.stderr
	}
	printed := 0
	r := checks.Verify(ctx, files, verify.RunOptions{
		Level: level, Subject: subject, Version: buildVersion(), Threads: f.threads, Timeout: f.timeout, Bases: bases, Progress: func(r *verify.Report) {
			for ; printed < len(r.Results); printed++ {
				fmt.Fprintln(table, resultLine(r.Results[printed]))
			}
		},
	})
	fmt.Fprintf(table, "%s in %.1fs: %s\n", r.State, r.FinishedAt.Sub(r.StartedAt).Seconds(), plain(r.Summary))
	if f.asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return notRun(fmt.Errorf("print the report: %w", err))
		}
	}
	switch r.State {
	case verify.StatePassed:
		return nil
	case verify.StateFailed:
		return exit(exitVerifyFailed, nil)
	}
	return exit(exitVerifyNotRun, nil)
}

// openBases opens what --base names.
func openBases(args []string) (bases []verify.Base, err error) {
	defer func() {
		if err != nil {
			for _, b := range bases {
				err = errors.Join(err, b.Files.Close())
			}
		}
	}()
	for _, arg := range args {
		name, path, named := strings.Cut(arg, "=")
		if !named {
			path = name
		}
		files, err := verify.OpenPath(path)
		if err != nil {
			return bases, fmt.Errorf("open the base: %w", err)
		}
		bases = append(bases, verify.Base{Name: name, Files: files})
	}
	return bases, nil
}

// notRun gives an error that kept the checks from running its exit code.
func notRun(err error) error {
	var coded *exitError
	if errors.As(err, &coded) {
		return err
	}
	return exit(exitVerifyNotRun, err)
}

// verifiable opens what the argument names: a path, or a reference whose
// files are pulled into a temporary folder that goes with the files.
func (e *env) verifiable(ctx context.Context, f *verifyFlags, arg string) (verify.Files, *registry.Digest, func(), error) {
	if _, err := os.Stat(arg); err == nil {
		files, err := verify.OpenPath(arg)
		// Closing files that were only read loses nothing.
		return files, nil, func() { _ = files.Close() }, err
	}
	ref, err := client.ParseReference(arg)
	if err != nil {
		return nil, nil, nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	dir, err := os.MkdirTemp("", "carat-verify-")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	files, digest, err := e.pulled(ctx, f, ref, dir)
	if err != nil {
		return nil, nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return files, &digest, func() {
		if err := errors.Join(files.Close(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintf(e.stderr, "carat: remove the temporary folder: %v\n", err)
		}
	}, nil
}

func (e *env) pulled(ctx context.Context, f *verifyFlags, ref client.Reference, dir string) (verify.Files, registry.Digest, error) {
	show := newProgress(e.stderr)
	defer show.close()
	c, err := e.client(&f.remote, client.Options{Progress: show.event})
	if err != nil {
		return nil, registry.Digest{}, err
	}
	result, err := c.Pull(ctx, ref, dir)
	if err != nil {
		return nil, registry.Digest{}, hint(ctx, c, err, ref)
	}
	list := make([]registry.File, len(result.Files))
	for i, p := range result.Files {
		list[i] = p.File
	}
	files, err := verify.OpenPulled(dir, list)
	return files, result.Digest, err
}

// resultLine is one line of the table.
func resultLine(r verify.Result) string {
	line := fmt.Sprintf("%-8s %-19s %6.2fs", r.Outcome, r.ID, r.Seconds)
	if r.File != "" {
		line += "  " + plain(r.File)
	}
	if r.Reason != "" {
		line += "  " + plain(r.Reason)
	}
	return line
}
