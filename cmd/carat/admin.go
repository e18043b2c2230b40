package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newAdminCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Manage users, organizations, teams, robots and their tokens",
		Long: `Manage who may do what: on a running hub, whose host comes first, as a user who may
do so; or on its database, without a running server and without a password, where
--data or --database-url stands in the place of the host.

Roles are reader (pull), writer (push), maintainer (delete, visibility, gates, terms and
policies) and owner (roles, teams and robots). They are given in an organization, for all
its models, or in one model.`,
		Example: `  carat admin org create hub.example.org acme --owner jane
  carat admin org grant hub.example.org acme john writer
  carat admin robot create hub.example.org acme ci --role writer
  carat admin robot token hub.example.org acme ci pipeline --access write --expires 720h
  carat admin user password --data ./carat-data admin`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAdminUserCommand(e), newAdminOrgCommand(e), newAdminTeamCommand(e), newAdminRobotCommand(e), newAdminTokenCommand(e))
	return cmd
}

// adminGroup is a command that only has others below it.
func adminGroup(name, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

// adminLeaf is a command on a hub. Its use is the name and its own arguments, for
// which run gets the values; the host comes before them.
func adminLeaf(e *env, use, short string, run func(ctx context.Context, hub *client.Hub, args []string) error) *cobra.Command {
	var remote remoteFlags
	var data, databaseURL string
	name, own, _ := strings.Cut(use, " ")
	count := len(strings.Fields(own))
	cmd := &cobra.Command{
		Use:   strings.TrimRight(name+" {HOST | --data DIR | --database-url URL} "+own, " "),
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if data != "" && databaseURL != "" {
				return exit(exitUsage, errors.New("give one of --data and --database-url"))
			}
			local := data != "" || databaseURL != ""
			want := count
			if !local {
				want++
			}
			if len(args) != want {
				return exit(exitUsage, fmt.Errorf("%s takes %d arguments here, not %d; see %q", cmd.CommandPath(), want, len(args), cmd.CommandPath()+" --help"))
			}
			if !local {
				hub, err := e.hub(&remote, args[0])
				if err != nil {
					return err
				}
				return rightsHint(run(ctx, hub, args[1:]), args[0])
			}
			hub, opened, err := localHub(ctx, data, databaseURL)
			if err != nil {
				return err
			}
			return errors.Join(run(ctx, hub, args), opened.Close())
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&data, "data", "", "`DIR` of a hub with a database of its own")
	cmd.Flags().StringVar(&databaseURL, "database-url", "", "`URL` of a hub's Postgres")
	return cmd
}

// rightsHint says what to do for what only some users may do, with the password.
func rightsHint(err error, host string) error {
	var answer *client.ResponseError
	if errors.Is(err, client.ErrNoCredentials) || errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) {
		return fmt.Errorf("%w; log in with the password of a user who may do that: carat login %s", err, host)
	}
	return err
}

// table prints rows under a heading.
func (e *env) table(heading string, rows [][]string) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heading, " ", "\t"))
	for _, row := range rows {
		for i := range row {
			if row[i] = plain(row[i]); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// tokenRow is a row about an access token, as in carat token list.
func tokenRow(t client.AccessToken) []string {
	return []string{fmt.Sprint(t.ID), tokenName(t), strings.Join(t.Actions, ","), strings.Join(t.Repositories, ","), minute(t.CreatedAt), minute(t.ExpiresAt), minute(t.LastUsedAt)}
}

const tokenHeading = "ID NAME FOR IN MADE EXPIRES USED"
