package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newAdminOrgCommand(e *env) *cobra.Command {
	var owner, description string
	create := adminLeaf(e, "create NAME", "Make an organization, as an administrator", func(ctx context.Context, hub *client.Hub, args []string) error {
		return hub.CreateOrg(ctx, args[0], description, owner)
	})
	create.Flags().StringVar(&owner, "owner", "", "`USER` who owns it (default yourself)")
	create.Flags().StringVar(&description, "description", "", "what it is")
	return adminGroup("org", "Manage organizations and roles",
		adminLeaf(e, "list", "List your organizations, all as an administrator", func(ctx context.Context, hub *client.Hub, _ []string) error {
			orgs, err := hub.Orgs(ctx)
			if err != nil {
				return err
			}
			rows := make([][]string, len(orgs))
			for i, o := range orgs {
				rows[i] = []string{o.Name, o.Role, minute(o.CreatedAt), o.Description}
			}
			return e.table("NAME ROLE MADE DESCRIPTION", rows)
		}),
		create,
		adminLeaf(e, "describe NAME TEXT", "Change the description of an organization", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.DescribeOrg(ctx, args[0], args[1])
		}),
		adminLeaf(e, "delete NAME", "Delete an organization that has no models, with its roles, teams and robots", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.DeleteOrg(ctx, args[0])
		}),
		adminLeaf(e, "members ORG[/MODEL]", "List who was given a role in an organization, or in a model itself", func(ctx context.Context, hub *client.Hub, args []string) error {
			list, err := hub.Members(ctx, args[0])
			if err != nil {
				return err
			}
			rows := make([][]string, len(list))
			for i, m := range list {
				rows[i] = []string{m.User, m.Role}
			}
			return e.table("USER ROLE", rows)
		}),
		adminLeaf(e, "grant ORG[/MODEL] USER ROLE", "Give a user or a robot a role", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetRole(ctx, args[0], args[1], args[2])
		}),
		adminLeaf(e, "revoke ORG[/MODEL] USER", "Take the role of a user or a robot away", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetRole(ctx, args[0], args[1], "")
		}),
	)
}

func newAdminTeamCommand(e *env) *cobra.Command {
	member := func(use, short string, in bool) *cobra.Command {
		return adminLeaf(e, use, short, func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetTeamMember(ctx, args[0], args[1], args[2], in)
		})
	}
	return adminGroup("team", "Manage the teams of organizations",
		adminLeaf(e, "list ORG", "List the teams of an organization", func(ctx context.Context, hub *client.Hub, args []string) error {
			list, err := hub.Teams(ctx, args[0])
			if err != nil {
				return err
			}
			rows := make([][]string, len(list))
			for i, t := range list {
				roles := make([]string, len(t.Roles))
				for j, r := range t.Roles {
					roles[j] = r.Scope + ":" + r.Role
				}
				rows[i] = []string{t.Name, strings.Join(t.Members, ","), strings.Join(roles, ",")}
			}
			return e.table("NAME MEMBERS ROLES", rows)
		}),
		adminLeaf(e, "create ORG TEAM", "Make a team", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.CreateTeam(ctx, args[0], args[1])
		}),
		adminLeaf(e, "delete ORG TEAM", "Delete a team; its members lose what it gave them", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.DeleteTeam(ctx, args[0], args[1])
		}),
		member("join ORG TEAM USER", "Take a user into a team", true),
		member("leave ORG TEAM USER", "Take a user out of a team", false),
		adminLeaf(e, "grant ORG TEAM ORG[/MODEL] ROLE", "Give a team a role in its organization, or in a model of it", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetTeamRole(ctx, args[0], args[1], args[2], args[3])
		}),
		adminLeaf(e, "revoke ORG TEAM ORG[/MODEL]", "Take a role of a team away", func(ctx context.Context, hub *client.Hub, args []string) error {
			return hub.SetTeamRole(ctx, args[0], args[1], args[2], "")
		}),
	)
}
