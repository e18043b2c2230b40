package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newLicenseAffirmCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var reviewer, reason string
	var list, remove, asJSON bool
	cmd := &cobra.Command{
		Use:   "affirm HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] --reviewer NAME --reason TEXT",
		Short: "Say who judges that a version meets the Open Source AI Definition, as an administrator",
		Long: `Whether what is published of a model suffices to build an equal one is a person's
judgement. Enter it for a version that passes every check that a machine can make: the
hub signs it, shows it with the reviewer's name, and counts it for level 7. It holds
for this version only, until it is taken away.`,
		Example: `  carat license affirm hub.example.org/acme/model:v1 --reviewer "A. Reviewer" --reason "Data, code and weights suffice."
  carat license affirm hub.example.org/acme/model:v1 --list
  carat license affirm hub.example.org/acme/model:v1 --reviewer "A. Reviewer" --remove`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			hub := c.Hub(ref.Host)
			if list {
				found, err := hub.Affirmations(cmd.Context(), ref.Name, ref.Target())
				if err != nil {
					return hint(cmd.Context(), c, err, ref)
				}
				if asJSON {
					return printJSON(e.stdout, found)
				}
				for _, a := range found {
					if err := printLines(e.stdout, fmt.Sprintf("%s  %s: %s (entered by %s)\n", a.At.UTC().Format(time.DateOnly), a.Reviewer, a.Reason, a.By)); err != nil {
						return err
					}
				}
				return nil
			}
			switch {
			case reviewer == "":
				return exit(exitUsage, errors.New("--reviewer is required"))
			case remove:
				return adminHint(hub.Disaffirm(cmd.Context(), ref.Name, ref.Target(), reviewer), ref.Host)
			case reason == "":
				return exit(exitUsage, errors.New("--reason is required"))
			}
			return adminHint(hub.Affirm(cmd.Context(), ref.Name, ref.Target(), reviewer, reason), ref.Host)
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&reviewer, "reviewer", "", "`NAME` of who judges (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why (required)")
	cmd.Flags().BoolVar(&list, "list", false, "print those of the version")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the reviewer's away")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}
