package main

import (
	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/registry"
)

func newVisibilityCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:     "visibility HOST ORG/NAME {public | internal | private}",
		Short:   "Say who may pull a model: everybody, who is signed in, or who has a role there",
		Example: "  carat visibility hub.example.org acme/llama private",
		Args:    usage(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := registry.ParseName(args[1])
			if err != nil {
				return exit(exitUsage, err)
			}
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			return rightsHint(hub.SetVisibility(cmd.Context(), n, args[2]), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}
