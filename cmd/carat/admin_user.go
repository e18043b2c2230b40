package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newAdminUserCommand(e *env) *cobra.Command {
	return adminGroup("user", "Manage users, as an administrator",
		adminLeaf(e, "list", "List the users", func(ctx context.Context, hub *client.Hub, _ []string) error {
			users, err := hub.Users(ctx)
			if err != nil {
				return err
			}
			rows := make([][]string, len(users))
			for i, u := range users {
				rows[i] = []string{u.Name, map[bool]string{true: "administrator"}[u.Admin], minute(u.CreatedAt)}
			}
			return e.table("NAME IS MADE", rows)
		}),
		newUserAddCommand(e),
		e.withPassword("password NAME", "Set the password of a user; what programs kept of the old one ends", func(ctx context.Context, hub *client.Hub, name, password string) error {
			return hub.SetPassword(ctx, name, password)
		}),
		adminLeaf(e, "promote NAME", "Make a user an administrator of the hub", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetAdmin(ctx, args[0], true)
		}),
		adminLeaf(e, "demote NAME", "Make an administrator a plain user", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetAdmin(ctx, args[0], false)
		}),
		newAdminUserDeleteCommand(e),
	)
}

// newAdminUserDeleteCommand deletes users for good.
func newAdminUserDeleteCommand(e *env) *cobra.Command {
	var yes bool
	cmd := adminLeaf(e, "delete NAME", "Delete a user: tokens, keys, roles, the empty name space, and who they were in the log of acceptances",
		func(ctx context.Context, hub *client.Hub, args []string) error {
			if !yes {
				if err := e.confirm("Delete user "+plain(args[0])+"?", fmt.Errorf("user %s was not deleted", plain(args[0]))); err != nil {
					return err
				}
			}
			return hub.DeleteUser(ctx, args[0])
		})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "delete without asking")
	return cmd
}

// newUserCommand is the part of carat admin user that everybody needs first.
func newUserCommand(e *env) *cobra.Command {
	return adminGroup("user", "Make users of a hub; carat admin user does more", newUserAddCommand(e))
}

func newUserAddCommand(e *env) *cobra.Command {
	return e.withPassword("add NAME", "Make a user, who owns the name space of the name", func(ctx context.Context, hub *client.Hub, name, password string) error {
		if err := hub.CreateUser(ctx, name, password); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "made user %s\n", name)
		return err
	})
}

// withPassword is adminLeaf for what takes a name and a password.
func (e *env) withPassword(use, short string, run func(ctx context.Context, hub *client.Hub, name, password string) error) *cobra.Command {
	var fromStdin bool
	cmd := adminLeaf(e, use, short, func(ctx context.Context, hub *client.Hub, args []string) error {
		name, password, err := e.credentials(args[0], fromStdin)
		if err != nil {
			return err
		}
		return run(ctx, hub, name, password)
	})
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func newAdminTokenCommand(e *env) *cobra.Command {
	return adminGroup("token", "See and revoke access tokens of others, as an administrator",
		adminLeaf(e, "list USER", "List the access tokens of a user or a robot", func(ctx context.Context, hub *client.Hub, args []string) error {
			list, err := hub.UserTokens(ctx, args[0])
			if err != nil {
				return err
			}
			rows := make([][]string, len(list))
			for i, t := range list {
				rows[i] = tokenRow(t)
			}
			return e.table(tokenHeading, rows)
		}),
		adminLeaf(e, "revoke USER ID", "Take an access token of a user or a robot away", func(ctx context.Context, hub *client.Hub, args []string) error {
			id, err := tokenID(args[1])
			if err != nil {
				return err
			}
			return hub.RevokeUserToken(ctx, args[0], id)
		}),
	)
}

// tokenID reads the id of a token.
func tokenID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, exit(exitUsage, fmt.Errorf("%q is no id of a token", s))
	}
	return id, nil
}
