package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newTokenKeysCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var rotate, drop bool
	cmd := &cobra.Command{
		Use:   "keys HOST",
		Short: "List or replace the keys that tokens are signed with, as an administrator",
		Long: `List the keys that the tokens of the hub's token endpoint are signed with. The hub
replaces them by itself (carat serve --token-key-age); nobody notices.

--rotate does so now: a fresh key is published and signs a quarter of an hour later.

--drop is for when somebody else may have a key: all are taken away and with them
every token of the token endpoint, on all nodes within ten seconds. Programs that know
their password or access token get new ones; access tokens stay as they are.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rotate && drop {
				return exit(exitUsage, errors.New("use either --rotate or --drop"))
			}
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			var keys []client.TokenKey
			if rotate || drop {
				keys, err = hub.RotateTokenKey(cmd.Context(), drop)
			} else {
				keys, err = hub.TokenKeys(cmd.Context())
			}
			if err != nil {
				return adminHint(err, args[0])
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tPUBLISHED\tSIGNS FROM\tVERIFIES UNTIL\t")
			for _, k := range keys {
				now := ""
				if k.Signs {
					now = "signs now"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(k.ID), minute(k.CreatedAt), minute(k.SignsFrom), minute(k.EndsAt), now)
			}
			return w.Flush()
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&rotate, "rotate", false, "have a fresh key sign soon")
	cmd.Flags().BoolVar(&drop, "drop", false, "have a fresh key sign at once, and take all others and their tokens away")
	return cmd
}
