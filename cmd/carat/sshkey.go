package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/auth"
)

func newSSHKeyCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh-key",
		Short: "Register the SSH keys that Ollama signs its requests with",
		Long: `Register public Ed25519 keys of SSH. A request for a token that one of them has signed
stands for its owner, to pull and push. Ollama signs with ~/.ollama/id_ed25519; it has
no other way to sign in.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSSHKeyAddCommand(e), newSSHKeyListCommand(e), newSSHKeyRemoveCommand(e))
	return cmd
}

func newSSHKeyAddCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:     "add HOST FILE",
		Short:   "Register a public key",
		Example: `  carat ssh-key add hub.example.org ~/.ollama/id_ed25519.pub`,
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := readSmall(args[1], maxKeyFile)
			if err != nil {
				return err
			}
			if _, err := auth.ParseSSHKey(string(line)); err != nil { // a private key stays here
				return fmt.Errorf("%s: %w", args[1], err)
			}
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			k, err := hub.AddSSHKey(cmd.Context(), string(line))
			if err != nil {
				return ownHint(err, args[0])
			}
			_, err = fmt.Fprintf(e.stdout, "registered %s %s\n", plain(k.Fingerprint), plain(k.Name))
			return err
		},
	}
	remote.register(cmd)
	return cmd
}

func newSSHKeyListCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "list HOST",
		Short: "List one's SSH keys",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			keys, err := hub.SSHKeys(cmd.Context())
			if err != nil {
				return ownHint(err, args[0])
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tNAME\tFINGERPRINT\tADDED\tUSED")
			for _, k := range keys {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", k.ID, plain(k.Name), plain(k.Fingerprint), minute(k.CreatedAt), minute(k.LastUsedAt))
			}
			return w.Flush()
		},
	}
	remote.register(cmd)
	return cmd
}

func newSSHKeyRemoveCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "remove HOST ID",
		Short: "Take a key away",
		Args:  usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return exit(exitUsage, fmt.Errorf("%q is no id; see carat ssh-key list", args[1]))
			}
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			return ownHint(hub.RemoveSSHKey(cmd.Context(), id), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}
