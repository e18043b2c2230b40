package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func newPullCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var jobs, streams int
	var dir, key string
	var verified bool
	var consent consentFlags
	cmd := &cobra.Command{
		Use:   "pull HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Pull a model into a folder",
		Long: `Pull the files of a model into a folder, NAME unless --output says another.
Every file is checked against its digest before it gets its name. Files that
are right already are not fetched again, unfinished ones are taken up where
they were left, and files that the model does not have are left alone. Large
files are fetched in several pieces at once, equal files only once.

With --verified only a version with a valid signed pass is pulled: the tag is resolved
to a digest, the newest signed report about that digest must say passed, and
only then are the files of that digest fetched. The keys to believe come from --key, or
else from the hub itself, over the same encrypted way; which were used is told.

Where the terms of a model have to be accepted first, they are printed, and asked
for on a terminal.

Any artifact whose layers are plain files with names can be pulled, from any
OCI registry. The last line on standard output is the manifest's digest.`,
		Example: `  carat pull localhost:8080/demo/tiny-llama:v1 -o models/tiny
  carat pull models.example.org/acme/model@sha256:…
  carat pull --verified --key hub.pub models.example.org/acme/model:v1`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := reference(args[0])
			if err != nil {
				return err
			}
			if dir == "" {
				dir = ref.Folder()
			}
			show := newProgress(e.stderr)
			defer show.close()
			c, err := e.client(&remote, client.Options{Jobs: jobs, Streams: streams, Progress: show.event})
			if err != nil {
				return err
			}
			if key != "" && !verified {
				return exit(exitUsage, errors.New("--key needs --verified"))
			}
			if verified {
				if ref, err = e.requirePass(cmd.Context(), c, ref, key); err != nil {
					return hint(cmd.Context(), c, err, ref)
				}
			}
			result, err := c.Pull(cmd.Context(), ref, dir)
			if registry.IsCode(err, registry.CodeDenied) || registry.IsCode(err, registry.CodeUnauthorized) {
				if v, terr := c.Hub(ref.Host).Terms(cmd.Context(), ref.Name, ref.Target()); terr == nil && v.Required && v.State == "" {
					show.close()
					if _, terr := e.accept(cmd.Context(), c, ref, &consent); terr != nil {
						return fmt.Errorf("%w (%w); carat terms accept %s, or --accept-terms", err, terr, ref)
					}
					result, err = c.Pull(cmd.Context(), ref, dir)
				}
			}
			show.close()
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			fmt.Fprintf(e.stderr, "pulled into %s: %s\n", dir, pulled(result))
			_, err = fmt.Fprintln(e.stdout, result.Digest)
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVarP(&dir, "output", "o", "", "folder to write to (default NAME)")
	consent.register(cmd)
	cmd.Flags().BoolVar(&consent.accept, "accept-terms", false, "accept the terms where they have to be accepted first, without asking")
	cmd.Flags().BoolVar(&verified, "verified", false, "pull only what has a valid signed pass")
	cmd.Flags().StringVar(&key, "key", "", "`FILE` with the public keys to believe, or https://HOST of the hub that gives them out (default: the hub of the reference)")
	cmd.Flags().IntVarP(&jobs, "jobs", "j", 4, "how many files to fetch at once")
	cmd.Flags().IntVar(&streams, "streams", 0, "how many pieces of large files to fetch at once, 1 for whole files only (default 6, on loopback 1)")
	return cmd
}

// requirePass returns the reference by digest when the version has a valid
// signed pass.
func (e *env) requirePass(ctx context.Context, c *client.Client, ref client.Reference, key string) (client.Reference, error) {
	t, err := e.trusted(ctx, c, key, ref.Host)
	if err != nil {
		return ref, err
	}
	manifest, err := c.Artifact(ctx, ref)
	if err != nil {
		return ref, err
	}
	pinned := ref.Pinned(manifest.Digest)
	a, err := attested(ctx, c, pinned, t, e.say)
	if err != nil {
		return ref, fmt.Errorf("refused to pull %s: %w", ref, err)
	}
	if a.Report.State != verify.StatePassed {
		return ref, fmt.Errorf("refused to pull %s: its verification says %s: %s", ref, a.Report.State, plain(a.Report.Summary))
	}
	e.say(fmt.Sprintf("%s passed verification, signed by key %s %s", manifest.Digest, a.Key.ID, plain(t.from)))
	return pinned, nil
}

func pulled(r *client.PullResult) string {
	var fetched, copied int
	var bytes int64
	for _, f := range r.Files {
		switch {
		case f.Fetched:
			fetched++
			bytes += f.Size
		case f.Copied:
			copied++
		}
	}
	s := fmt.Sprintf("%d fetched (%s), ", fetched, formatBytes(bytes))
	if copied > 0 {
		s += fmt.Sprintf("%d copied, ", copied)
	}
	return s + fmt.Sprintf("%d up to date", len(r.Files)-fetched-copied)
}
