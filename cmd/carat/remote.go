package main

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

// remoteFlags are what all commands that talk to a registry take.
type remoteFlags struct {
	plainHTTP  bool
	tokenHosts []string
}

func (f *remoteFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.plainHTTP, "plain-http", false, "use http instead of https (always so for loopback hosts)")
	cmd.Flags().StringArrayVar(&f.tokenHosts, "token-host", nil,
		"`HOST` that may get the password as the registry's token service though it is on another domain (repeatable)")
}

// client returns a client that uses Docker's credentials.
func (e *env) client(f *remoteFlags, o client.Options) (*client.Client, error) {
	store, err := client.DockerCredentials(e.getenv("DOCKER_CONFIG"))
	if err != nil {
		return nil, err
	}
	o.Credentials = store
	o.PlainHTTP = f.plainHTTP
	o.TokenHosts = f.tokenHosts
	o.UserAgent = "carat/" + buildVersion() + " (" + runtime.GOOS + "/" + runtime.GOARCH + ")"
	return client.New(o), nil
}

// reference parses an argument; what is none is wrong usage.
func reference(s string) (client.Reference, error) {
	ref, err := client.ParseReference(s)
	if err != nil {
		return client.Reference{}, exit(exitUsage, err)
	}
	return ref, nil
}

// hint adds what a user can do about an error of a registry.
func hint(err error, host string) error {
	var answer *client.ResponseError
	if errors.As(err, &answer) && answer.Status == http.StatusUnauthorized {
		return fmt.Errorf("%w; log in first: carat login %s", err, host)
	}
	if errors.Is(err, client.ErrForeignCredentials) {
		return fmt.Errorf("%w (--token-host)", err)
	}
	return err
}
