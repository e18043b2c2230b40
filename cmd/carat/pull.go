package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newPullCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var jobs, streams int
	var dir string
	cmd := &cobra.Command{
		Use:   "pull HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Pull a model into a folder",
		Long: `Pull the files of a model into a folder, NAME unless --output says another.
Every file is checked against its digest before it gets its name. Files that
are right already are not fetched again, unfinished ones are taken up where
they were left, and files that the model does not have are left alone. Large
files are fetched in several pieces at once, equal files only once.

Any artifact whose layers are plain files with names can be pulled, from any
OCI registry. The last line on standard output is the manifest's digest.`,
		Example: `  carat pull localhost:8080/demo/tiny-llama:v1 -o models/tiny
  carat pull models.example.org/acme/model@sha256:…`,
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
			result, err := c.Pull(cmd.Context(), ref, dir)
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
	cmd.Flags().IntVarP(&jobs, "jobs", "j", 4, "how many files to fetch at once")
	cmd.Flags().IntVar(&streams, "streams", 0, "how many pieces of large files to fetch at once, 1 for whole files only (default 6, on loopback 1)")
	return cmd
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
