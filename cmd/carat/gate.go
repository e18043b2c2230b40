package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

// gateWords are what the second argument of "carat gate" may be.
var gateWords = []string{"off", "warn", "block", "default"}

func newGateCommand(e *env) *cobra.Command {
	return e.gateCommand(client.VerificationGate, "Show or set who may pull versions that have not passed verification",
		`Print the gate of an organization, or set it, as an administrator:

  off      every version is served, whatever its verification says
  warn     a version that has not passed is served with a warning
  block    it is served only to those who may push there
  default  the hub's gate ("carat serve --verification-gate", usually warn)

A version that the hub cannot run (unsupported) has not passed. A blocked version can
be pulled as soon as its verification passes. Its report stays readable.`,
		`  carat gate models.example.org/acme
  carat gate models.example.org/acme block`)
}

// gateCommand shows and sets the gates of a kind.
func (e *env) gateCommand(kind client.GateKind, short, long, example string) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use: "gate HOST[:PORT]/ORG [off|warn|block|default]", Short: short, Long: long, Example: example,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, org, err := organization(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			hub := c.Hub(host)
			var g client.Gate
			if len(args) == 1 {
				if g, err = hub.Gate(cmd.Context(), org, kind); err != nil {
					return hint(cmd.Context(), c, err, client.Reference{Host: host})
				}
			} else {
				if !slices.Contains(gateWords, args[1]) {
					return exit(exitUsage, fmt.Errorf("a gate is %s, not %q", strings.Join(gateWords, ", "), args[1]))
				}
				if g, err = hub.SetGate(cmd.Context(), org, kind, args[1]); err != nil {
					return adminHint(err, host)
				}
			}
			of := "the hub's"
			if g.Own {
				of = "its own"
			}
			_, err = fmt.Fprintf(e.stdout, "%s (%s)\n", plain(g.Gate), of)
			return err
		},
	}
	remote.register(cmd)
	return cmd
}

// organization parses HOST/ORG.
func organization(arg string) (host string, org registry.Name, err error) {
	host, name, ok := strings.Cut(arg, "/")
	if !ok || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is not of the form HOST[:PORT]/ORG", arg)
	}
	if host, err = client.ParseHost(host); err != nil {
		return "", "", err
	}
	org, err = registry.ParseName(name)
	return host, org, err
}
