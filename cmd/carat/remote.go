package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
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
func hint(ctx context.Context, c *client.Client, err error, ref client.Reference) error {
	var answer *client.ResponseError
	var dial *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w; log in first: carat login %s", err, ref.Host)
	case errors.Is(err, client.ErrForeignCredentials):
		return fmt.Errorf("%w (--token-host)", err)
	case registry.IsCode(err, registry.CodeManifestUnknown), registry.IsCode(err, registry.CodeNameUnknown):
		return unknown(ctx, c, err, ref)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s does not speak HTTPS; if the network to it is to be trusted, add --plain-http", ref.Host)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("cannot reach %s: %w", ref.Host, dial.Err)
	}
	return err
}

// shownTags is how many tags a message names.
const shownTags = 10

// unknown says which versions there are instead of the one asked for.
func unknown(ctx context.Context, c *client.Client, err error, ref client.Reference) error {
	tags, terr := c.Tags(ctx, ref, shownTags+1)
	if terr != nil || len(tags) == 0 {
		return fmt.Errorf("%s has no model %s, or not for you (a private one needs a login: carat login %s): %w", ref.Host, ref.Name, ref.Host, err)
	}
	more := ""
	if len(tags) > shownTags {
		tags, more = tags[:shownTags], ", …"
	}
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = string(t)
	}
	return fmt.Errorf("%s has no version %s; its tags are %s%s: %w", ref.Name, ref.Target(), strings.Join(names, ", "), more, err)
}
