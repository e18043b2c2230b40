package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newTokenCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make and revoke access tokens for programs",
		Long: `Access tokens stand for their user in programs: as a Bearer token, or in the place of
the password. They may read or write, never administer. Their form is the one that
programs for Hugging Face send (HF_TOKEN).`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreateCommand(e), newTokenListCommand(e), newTokenRevokeCommand(e), newTokenKeysCommand(e))
	return cmd
}

// hub returns the API of a host.
func (e *env) hub(remote *remoteFlags, host string) (*client.Hub, error) {
	host, err := client.ParseHost(host)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	c, err := e.client(remote, client.Options{})
	if err != nil {
		return nil, err
	}
	return c.Hub(host), nil
}

// ownHint says what to do for what a user may only do with the password.
func ownHint(err error, host string) error {
	var answer *client.ResponseError
	switch {
	case errors.Is(err, client.ErrNoCredentials):
		return fmt.Errorf("%w; log in first: carat login %s", err, host)
	case errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden):
		return fmt.Errorf("%w; this takes the password itself: carat login %s", err, host)
	}
	return err
}

func newTokenCreateCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var q client.TokenRequest
	cmd := &cobra.Command{
		Use:   "create HOST NAME",
		Short: "Make an access token and print it, this once",
		Example: `  export HF_ENDPOINT=https://hub.example.org HF_TOKEN=$(carat token create hub.example.org laptop)
  carat token create hub.example.org ci --repository acme/* --access write --expires 720h`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			q.Name = args[1]
			t, err := hub.CreateToken(cmd.Context(), q)
			if err != nil {
				return ownHint(err, args[0])
			}
			_, err = fmt.Fprintln(e.stdout, plain(t.Token))
			return err
		},
	}
	remote.register(cmd)
	tokenFlags(cmd, &q)
	return cmd
}

// tokenFlags are the flags of what makes an access token.
func tokenFlags(cmd *cobra.Command, q *client.TokenRequest) {
	cmd.Flags().StringVar(&q.Access, "access", "read", "what it may be used for: read, or write")
	cmd.Flags().StringArrayVar(&q.Repositories, "repository", nil, "where it may be used: `ORG/NAME` or ORG/* (repeatable; default all)")
	cmd.Flags().DurationVar(&q.Expires, "expires", 0, "for how long it holds, 720h is 30 days (default for ever)")
}

func newTokenListCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "list HOST",
		Short: "List one's access tokens",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			list, err := hub.Tokens(cmd.Context())
			if err != nil {
				return ownHint(err, args[0])
			}
			rows := make([][]string, len(list))
			for i, t := range list {
				rows[i] = tokenRow(t)
			}
			return e.table(tokenHeading, rows)
		},
	}
	remote.register(cmd)
	return cmd
}

// tokenName is the name that a token was given, or whose identity it was exchanged for.
func tokenName(t client.AccessToken) string {
	if t.Identity != "" {
		return t.Identity
	}
	return t.Name
}

// minute writes a time for tables.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

func newTokenRevokeCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "revoke HOST ID",
		Short: "Take an access token away",
		Args:  usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return exit(exitUsage, fmt.Errorf("%q is no id; see carat token list", args[1]))
			}
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			return ownHint(hub.RevokeToken(cmd.Context(), id), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}
