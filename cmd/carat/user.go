package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newUserCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Make users of a hub, as an administrator",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAddCommand(e))
	return cmd
}

func newUserAddCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "add HOST NAME",
		Short: "Make a user, who may pull what is public and accept terms",
		Long: `Make a user. The password is asked for without echo, or read from standard input
with --password-stdin; it has at least 12 characters.`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := client.ParseHost(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			name, password, err := e.credentials(args[1], fromStdin)
			if err != nil {
				return err
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			if err := c.Hub(host).CreateUser(cmd.Context(), name, password); err != nil {
				return adminHint(err, host)
			}
			_, err = fmt.Fprintf(e.stdout, "made user %s\n", name)
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return cmd
}
