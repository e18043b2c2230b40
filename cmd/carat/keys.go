package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/verify/attestation"
)

func newKeysCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var all, asJSON, rotate bool
	cmd := &cobra.Command{
		Use:   "keys HOST[:PORT] | REFERENCE",
		Short: "Print the keys that a hub signs reports with",
		Long: `Print the public key under which a hub signs its verification reports, as PEM
with its id before it. "carat verify --key" and "carat pull --verified --key" take
the output as a file. Keep it: who has it can check reports without asking
the hub again, and notices when another key is used.

--all prints the keys that were in use before too, for old reports. --json prints all
of them with the times of their use; reports are then believed only when they
were made in that time.

--rotate, for administrators, makes the hub sign with a fresh key from now on.`,
		Example: `  carat keys models.example.org > hub.pub
  carat verify --key hub.pub models.example.org/acme/model:v1`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := hostOf(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			hub := c.Hub(host)
			if rotate {
				if err := e.rotateKey(cmd.Context(), hub, host); err != nil {
					return err
				}
			}
			keys, err := hubKeys(cmd.Context(), hub)
			if err != nil {
				return hint(cmd.Context(), c, err, client.Reference{Host: host})
			}
			return e.printKeys(keys, all, asJSON)
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also print keys that are not in use any more")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all keys as JSON, with the times of their use")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "make the hub sign with a fresh key first")
	return cmd
}

// hostOf returns the host that an argument is or that a reference begins with.
func hostOf(arg string) (string, error) {
	if !strings.Contains(arg, "/") {
		return client.ParseHost(arg)
	}
	ref, err := client.ParseReference(arg)
	return ref.Host, err
}

func (e *env) rotateKey(ctx context.Context, hub *client.Hub, host string) error {
	k, err := hub.RotateKey(ctx)
	if err != nil {
		return adminHint(err, host)
	}
	e.say(fmt.Sprintf("%s signs with %s from now on", host, plain(k.ID)))
	return nil
}

// adminHint adds what a user can do about a change that was refused.
func adminHint(err error, host string) error {
	var answer *client.ResponseError
	if errors.Is(err, client.ErrNoCredentials) || errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) {
		return fmt.Errorf("%w; log in as an administrator first: carat login %s", err, host)
	}
	return err
}

func (e *env) printKeys(keys []attestation.Key, all, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string][]attestation.Key{"keys": keys})
	}
	const day = "2006-01-02"
	for i, k := range keys {
		if i > 0 && !all {
			break
		}
		until := "in use"
		if !k.NotAfter.IsZero() {
			until = "until " + k.NotAfter.UTC().Format(day)
		}
		if _, err := fmt.Fprintf(e.stdout, "%s, since %s, %s\n%s", k.ID, k.NotBefore.UTC().Format(day), until, k.PEM()); err != nil {
			return err
		}
	}
	return nil
}
