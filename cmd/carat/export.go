package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry/bom"
)

func newExportCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var output string
	cmd := &cobra.Command{
		Use:   "export FORMAT HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Write what is known of a model in a form that others read",
		Long: `Write what a hub knows of a version: what it was made from, under which terms,
how open it is, and what it consists of. The same version gives the same bytes as
long as nothing more becomes known of it. FORMAT is

` + formatTable(),
		Example: `  carat export cyclonedx hub.example.org/acme/model:v1 -o bom.cdx.json
  carat export notice hub.example.org/acme/model:v1 > NOTICE`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, ok := bom.Lookup(args[0])
			if !ok {
				return exit(exitUsage, fmt.Errorf("%q is no format; see carat export --help", args[0]))
			}
			ref, err := reference(args[1])
			if err != nil {
				return err
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			p, err := c.Hub(ref.Host).Export(cmd.Context(), ref.Name, ref.Target(), f.ID)
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			if output == "" || output == "-" {
				_, err = e.stdout.Write(p)
				return err
			}
			return os.WriteFile(output, p, 0o666) //nolint:gosec // what umask leaves, as for every file that a user asks for
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	return cmd
}

// formatTable lists the formats for help.
func formatTable() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range bom.Formats() {
		fmt.Fprintf(w, "  %s\t%s\n", f.ID, f.Name)
	}
	_ = w.Flush() // into memory
	return strings.TrimSuffix(b.String(), "\n")
}
