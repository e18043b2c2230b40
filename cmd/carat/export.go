package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry/export"
)

func newExportCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var out string
	var list strings.Builder
	names := map[string]bool{}
	for _, k := range export.Kinds() {
		names[string(k.Format)] = true
		fmt.Fprintf(&list, "  %-16s%s\n", k.Format, k.Title)
	}
	cmd := &cobra.Command{
		Use:   "export FORMAT HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Write what a hub knows of a version in a format of others",
		Long: `Write what a hub knows of a version: its files, terms, lineage and openness. The
formats are

` + list.String() + `
What is not known is left out, or said to be not stated by the publisher. The same
facts give the same bytes.`,
		Example: `  carat export cyclonedx models.example.org/acme/stories:v1 -o stories.cdx.json
  carat export attribution models.example.org/acme/stories:v1 -o attribution.zip`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			format := args[0]
			if !names[format] {
				return exit(exitUsage, fmt.Errorf("there is no format %q; see %q", format, cmd.CommandPath()+" --help"))
			}
			if format == string(export.Attribution) && out == "" {
				return exit(exitUsage, errors.New("an attribution bundle is no text; name a file with --output"))
			}
			ref, err := reference(args[1])
			if err != nil {
				return err
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			x, err := c.Hub(ref.Host).Export(cmd.Context(), ref.Name, ref.Target(), format)
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			if out != "" {
				return os.WriteFile(out, x.Body, 0o644)
			}
			_, err = e.stdout.Write(x.Body)
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE` instead of standard output")
	return cmd
}
