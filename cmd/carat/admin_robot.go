package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newAdminRobotCommand(e *env) *cobra.Command {
	return adminGroup("robot", "Manage the robots of organizations: accounts for programs",
		adminLeaf(e, "list ORG", "List the robots of an organization with their roles and tokens", func(ctx context.Context, hub *client.Hub, args []string) error {
			robots, err := hub.Robots(ctx, args[0])
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range robots {
				var roles []string
				for _, scope := range slices.Sorted(maps.Keys(r.Roles)) {
					roles = append(roles, scope+":"+r.Roles[scope])
				}
				about := []string{r.Name, r.User, strings.Join(roles, ",")}
				if len(r.Tokens) == 0 {
					rows = append(rows, append(about, "", "", "", "", "", "", ""))
				}
				for _, t := range r.Tokens {
					rows = append(rows, append(slices.Clone(about), tokenRow(t)...))
				}
			}
			return e.table("ROBOT USER ROLES TOKEN NAME FOR IN MADE EXPIRES USED", rows)
		}),
		newAdminRobotCreateCommand(e),
		adminLeaf(e, "delete ORG ROBOT", "Delete a robot with its tokens", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.DeleteRobot(ctx, args[0], args[1])
		}),
		newAdminRobotTokenCommand(e),
		adminLeaf(e, "revoke ORG ROBOT ID", "Take a token of a robot away", func(ctx context.Context, hub *client.Hub, args []string) error {
			id, err := tokenID(args[2])
			if err != nil {
				return err
			}
			return hub.RevokeRobotToken(ctx, args[0], args[1], id)
		}),
	)
}

func newAdminRobotCreateCommand(e *env) *cobra.Command {
	var role string
	var in []string
	cmd := adminLeaf(e, "create ORG ROBOT", "Make a robot, and give it a role", func(ctx context.Context, hub *client.Hub, args []string) error {
		user, err := hub.CreateRobot(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		scopes := in
		if len(scopes) == 0 {
			scopes = []string{args[0]}
		}
		for _, scope := range scopes {
			if role == "" {
				break
			}
			if err := hub.SetRole(ctx, scope, user, role); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(e.stdout, "made robot %s\n", plain(user))
		return err
	})
	cmd.Flags().StringVar(&role, "role", "", "its role; carat admin org grant gives others")
	cmd.Flags().StringArrayVar(&in, "in", nil, "`ORG/MODEL` where it has the role (repeatable; default the organization)")
	return cmd
}

func newAdminRobotTokenCommand(e *env) *cobra.Command {
	var q client.TokenRequest
	cmd := adminLeaf(e, "token ORG ROBOT NAME", "Make an access token of a robot and print it, this once", func(ctx context.Context, hub *client.Hub, args []string) error {
		q.Name = args[2]
		t, err := hub.CreateRobotToken(ctx, args[0], args[1], q)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, plain(t.Token))
		return err
	})
	tokenFlags(cmd, &q)
	return cmd
}
