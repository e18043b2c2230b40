package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newLicenseCheckCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON bool
	var name string
	cmd := &cobra.Command{
		Use:   "check HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH",
		Short: "Check that a model keeps the terms of what it was made from",
		Long: `Apply the rules of lineage to a model: does it keep the terms of its bases, is it
named as they demand, are their notices there, is its text the licence that it
declares? Each finding is printed with the clause and with what would mend it.

An argument that exists on disk is a path. The bases of a model on disk are known
by their names alone; of one in a hub, the hub knows those that it holds.

Exit codes: 0 nothing contradicts; 1 something does, or the terms could not be
told; 2 wrong usage.`,
		Example: `  carat license check ./my-fine-tune --name Llama-3.1-Mine
  carat license check models.example.org/acme/model:v1 --json`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := e.licensed(cmd.Context(), &remote, args[0], name)
			if err != nil {
				return err
			}
			if l.hub == nil && !l.model {
				return exit(exitUsage, errors.New("only models have a lineage; see carat license show"))
			}
			a, err := l.assess(cmd.Context())
			if err != nil {
				return err
			}
			r := &a.Lineage
			if asJSON {
				if err := printJSON(e.stdout, r); err != nil {
					return err
				}
			} else if err := printLines(e.stdout, r.Text()); err != nil {
				return err
			}
			switch n := r.Errors(); {
			case n == 1:
				return exit(1, errors.New("1 finding contradicts the terms"))
			case n > 1:
				return exit(1, fmt.Errorf("%d findings contradict the terms", n))
			case r.Unknown:
				return exit(1, errors.New("nothing contradicts the terms as far as they are known, but not all of them are"))
			case !asJSON:
				_, err = fmt.Fprintln(e.stdout, "Nothing contradicts the terms.")
			}
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` under which a model on disk is to be published (default its folder's)")
	return cmd
}
