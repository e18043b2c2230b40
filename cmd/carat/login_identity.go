package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

// identityFlags say where the identity token of a CI job is.
type identityFlags struct {
	file, variable string
}

func (f *identityFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "identity-token-file", "", "log in by the OpenID Connect token in a `FILE`")
	cmd.Flags().StringVar(&f.variable, "identity-token-env", "", "log in by the OpenID Connect token in an environment `VARIABLE`")
	cmd.MarkFlagsMutuallyExclusive("identity-token-file", "identity-token-env", "password-stdin")
	cmd.MarkFlagsMutuallyExclusive("identity-token-file", "identity-token-env", "username")
}

func (f identityFlags) given() bool { return f.file != "" || f.variable != "" }

// maxIdentityToken bounds what is read as an identity token, in bytes.
const maxIdentityToken = 64 << 10

// token reads the identity token.
func (f identityFlags) token(getenv func(string) string) (string, error) {
	text := getenv(f.variable)
	if f.file != "" {
		p, err := readSmall(f.file, maxIdentityToken)
		if err != nil {
			return "", fmt.Errorf("--identity-token-file: %w", err)
		}
		text = string(p)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", exit(exitUsage, errors.New("there is no identity token: the file or variable is empty"))
	}
	return text, nil
}

func (e *env) loginWithIdentity(ctx context.Context, remote *remoteFlags, host string, f identityFlags) error {
	token, err := f.token(e.getenv)
	if err != nil {
		return err
	}
	c, err := e.client(remote, client.Options{})
	if err != nil {
		return err
	}
	got, err := c.LoginWithIdentity(ctx, host, token)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "logged in to %s for %s: %s\n", host, got.Expires, plain(got.Scope))
	return err
}
