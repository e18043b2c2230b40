package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newLicenseGateCommand(e *env) *cobra.Command {
	return e.gateCommand(client.LineageGate, "Show or set who may pull versions that contradict the terms of what they were made from",
		`Print the gate of an organization, or set it, as an administrator:

  off, warn  every version is served; pages and carat license check tell what is found
  block      a version with findings of severity error is served only to those who may push there
  default    the hub's, which is warn

A finding that was waived does not count (carat license waive). A version whose files have
not been read yet is blocked until they are.`,
		`  carat license gate models.example.org/acme block`)
}

func newLicenseWaiveCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var reason, expires string
	var remove bool
	cmd := &cobra.Command{
		Use:   "waive HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] FINDING --reason TEXT --expires DATE",
		Short: "Let a finding of a version be, as an administrator",
		Long: `Let a finding be until a day, for a reason that is signed by the hub and shown with the
finding. FINDING is its id, the last line of what carat license check prints of it. It
holds for this version only.`,
		Example: `  carat license waive hub.example.org/acme/model:v1 73c4504e93de8d41 --reason "Agreed with the vendor, contract 12." --expires 2027-06-30`,
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			hub := c.Hub(ref.Host)
			if remove {
				return adminHint(hub.Unwaive(cmd.Context(), ref.Name, ref.Target(), args[1]), ref.Host)
			}
			until, err := time.Parse(time.DateOnly, expires)
			if err != nil {
				if until, err = time.Parse(time.RFC3339, expires); err != nil {
					return exit(exitUsage, fmt.Errorf("--expires %q is no day like 2027-06-30", expires))
				}
			}
			if reason == "" {
				return exit(exitUsage, errors.New("--reason is required"))
			}
			return adminHint(hub.Waive(cmd.Context(), ref.Name, ref.Target(), args[1], reason, until), ref.Host)
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why (required)")
	cmd.Flags().StringVar(&expires, "expires", "", "`DAY` on which it ends, 2027-06-30, or a time of RFC 3339 (required)")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the waiver away")
	return cmd
}
