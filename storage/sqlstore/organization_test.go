package sqlstore

import (
	"errors"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestOrganizations(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, name := range []string{"jane", "john"} {
			_, err := b.CreateUser(ctx, auth.User{Name: name, PasswordHash: "x"})
			check(t, err)
		}
		fails := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		acme := auth.Org{Name: "acme", Description: "rockets\x00"}
		fails("without an owner", b.CreateOrg(ctx, acme, "nobody"), auth.ErrUnknownUser)
		check(t, b.SetGate(ctx, "acme", registry.GateBlock)) // settings alone are no organization
		_, err := b.Org(ctx, "acme")
		fails("before it is made", err, auth.ErrUnknownScope)
		check(t, b.CreateOrg(ctx, acme, "jane"))
		fails("again", b.CreateOrg(ctx, acme, "jane"), auth.ErrNamespaceTaken)
		fails("in the name of a user", b.CreateOrg(ctx, auth.Org{Name: "john"}, "jane"), auth.ErrNamespaceTaken)
		errs := together(2, func(i int) error {
			if i == 0 {
				return b.CreateOrg(ctx, auth.Org{Name: "race"}, "jane")
			}
			_, err := b.CreateUser(ctx, auth.User{Name: "race", PasswordHash: "x"})
			return err
		})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("a user and an organization of one name: %v", errs)
		}
		got, err := b.Org(ctx, "acme")
		check(t, err)
		if d := diff(auth.Org{Name: "acme", Description: "rockets\uFFFD", CreatedAt: start}, got); d != "" {
			t.Errorf("organization (-want +got):\n%s", d)
		}

		// What belongs to it goes with it.
		b.repo(t, "acme/model", auth.Private)
		check(t, b.SetRole(ctx, "acme/model", "john", auth.Reader))
		check(t, b.CreateTeam(ctx, "acme", "devs"))
		check(t, b.SetTeamRole(ctx, "acme", "devs", "acme", auth.Maintainer))
		check(t, b.SetTeamMember(ctx, "acme", "devs", "john", true))
		check(t, b.CreateRobot(ctx, "acme", "ci"))
		check(t, b.SetRole(ctx, "acme/model", "acme+ci", auth.Writer))
		fails("robot elsewhere", b.SetRole(ctx, "jane", "acme+ci", auth.Writer), auth.ErrForeignRobot)
		robot, err := b.Robot(ctx, "acme", "ci")
		check(t, err)
		_, hash := auth.NewAccessToken()
		_, err = b.CreateAccessToken(ctx, auth.AccessToken{UserID: robot.ID, Name: "t", Actions: []auth.Action{auth.Pull}, Repositories: []string{"*"}}, hash)
		check(t, err)
		_, u, err := b.AccessToken(ctx, hash)
		check(t, err)
		if d := diff(auth.Roles{"acme/model": auth.Writer}, u.Roles); d != "" || u.Admin {
			t.Errorf("robot (-want +got):\n%s", d)
		}
		john, err := b.User(ctx, "john")
		check(t, err)
		if d := diff(auth.Roles{"john": auth.Owner, "acme": auth.Maintainer, "acme/model": auth.Reader}, john.Roles); d != "" {
			t.Errorf("john by the team (-want +got):\n%s", d)
		}
		orgs, err := b.Orgs(ctx, john.ID)
		check(t, err)
		if len(orgs) != 2 || orgs[0].Name != "acme" || orgs[1].User != "john" {
			t.Errorf("organizations of john: %v", orgs)
		}
		check(t, b.PutPolicy(ctx, registry.PolicyText{Scope: "acme", Text: "forbid (principal, action, resource);", By: "jane", At: start}))
		check(t, b.SetConsentGate(ctx, "acme/model", &registry.ConsentGate{Mode: registry.ConsentAuto}))

		d := b.blob(t, "acme/model", "content")
		fails("with content", b.DeleteOrg(ctx, "acme"), auth.ErrNotEmpty)
		check(t, b.UnlinkBlob(ctx, "acme/model", d))
		fails("of a user", b.DeleteOrg(ctx, "john"), auth.ErrPersonal)
		fails("that is not there", b.DeleteOrg(ctx, "nothing"), auth.ErrUnknownScope)
		check(t, b.DeleteOrg(ctx, "acme"))

		_, err = b.Org(ctx, "acme")
		fails("after the end", err, auth.ErrUnknownScope)
		_, err = b.Repository(ctx, "acme/model")
		wantCode(t, err, registry.CodeNameUnknown)
		_, _, err = b.AccessToken(ctx, hash)
		fails("token after the end", err, auth.ErrUnknownToken)
		_, err = b.User(ctx, "acme+ci")
		fails("robot after the end", err, auth.ErrUnknownUser)
		john, err = b.User(ctx, "john")
		check(t, err)
		if d := diff(auth.Roles{"john": auth.Owner}, john.Roles); d != "" {
			t.Errorf("john after the end (-want +got):\n%s", d)
		}
		// Who makes it anew begins anew.
		check(t, b.CreateOrg(ctx, auth.Org{Name: "acme"}, "john"))
		policies, err := b.Policies(ctx)
		check(t, err)
		gates, err := b.Gates(ctx)
		check(t, err)
		consents, err := b.ConsentGates(ctx)
		check(t, err)
		if len(policies)+len(gates)+len(consents) != 0 {
			t.Errorf("settings that stayed: %v %v %v", policies, gates, consents)
		}
	})
}

func TestAdministrators(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, name := range []string{"jane", "john"} {
			_, err := b.CreateUser(ctx, auth.User{Name: name, PasswordHash: "x", Admin: true})
			check(t, err)
		}
		errs := together(2, func(i int) error { return b.SetAdmin(ctx, []string{"jane", "john"}[i], false) })
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("two administrators went at once: %v", errs)
		}
		check(t, b.SetPassword(ctx, "jane", "y"))
		users, err := b.Users(ctx)
		check(t, err)
		if len(users) != 2 || users[0].PasswordHash != "y" || users[1].PasswordHash != "x" || users[0].Admin == users[1].Admin {
			t.Errorf("users %+v", users)
		}
		for what, err := range map[string]error{"password": b.SetPassword(ctx, "none", "y"), "administrator": b.SetAdmin(ctx, "none", true)} {
			if !errors.Is(err, auth.ErrUnknownUser) {
				t.Errorf("%s of nobody: %v", what, err)
			}
		}
	})
}
