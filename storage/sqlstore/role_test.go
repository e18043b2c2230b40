package sqlstore

import (
	"errors"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/migrations"
	"github.com/carat-hub/carat/registry"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, name := range []string{"jane", "john"} {
			_, err := b.CreateUser(ctx, auth.User{Name: name, PasswordHash: "x"})
			check(t, err)
		}
		for _, n := range []registry.Name{"acme/open", "acme/inner", "acme/secret", "acme/other", "acmes/secret", "jane/own"} {
			v := auth.Private
			switch n {
			case "acme/open":
				v = auth.Public
			case "acme/inner":
				v = auth.Internal
			}
			b.repo(t, n, v)
		}
		set := func(scope, user string, role auth.Role, want error) {
			t.Helper()
			if err := b.SetRole(ctx, scope, user, role); !errors.Is(err, want) {
				t.Errorf("make %s %s of %s: %v", user, role, scope, err)
			}
		}
		set("acme", "jane", auth.Writer, nil) // the first is no owner
		set("acme", "john", auth.Reader, nil)
		set("acme/secret", "john", auth.Maintainer, nil)
		set("acme", "nobody", auth.Reader, auth.ErrUnknownUser)
		set("acme", "nul\x00\xff", auth.Reader, auth.ErrUnknownUser)
		set("nothing", "jane", auth.Reader, auth.ErrUnknownScope)
		set("acme/nothing", "jane", auth.Reader, auth.ErrUnknownScope)
		set("acme", "jane", auth.Owner, nil)
		set("acme", "jane", auth.Maintainer, auth.ErrLastOwner)
		set("acme", "jane", auth.NoRole, auth.ErrLastOwner)
		set("acme", "john", auth.NoRole, nil)
		set("acme", "john", auth.NoRole, nil) // again

		members, err := b.Members(ctx, "acme")
		check(t, err)
		if d := diff([]auth.Member{{User: "jane", Role: auth.Owner}}, members); d != "" {
			t.Errorf("members (-want +got):\n%s", d)
		}
		for name, want := range map[string]auth.Roles{
			"jane": {"jane": auth.Owner, "acme": auth.Owner},
			"john": {"john": auth.Owner, "acme/secret": auth.Maintainer},
		} {
			u, err := b.User(ctx, name)
			check(t, err)
			if d := diff(want, u.Roles); d != "" {
				t.Errorf("roles of %s (-want +got):\n%s", name, d)
			}
		}

		id := func(name string) int64 {
			u, err := b.User(ctx, name)
			check(t, err)
			return u.ID
		}
		for name, tt := range map[string]struct {
			sight auth.Sight
			want  string
		}{
			"nobody":              {auth.Sight{}, "acme/open"},
			"everything":          {auth.Sight{All: true}, "acme/inner acme/open acme/other acme/secret acmes/secret jane/own"},
			"a user":              {auth.Sight{UserID: id("john")}, "acme/inner acme/open acme/secret"},
			"an owner":            {auth.Sight{UserID: id("jane")}, "acme/inner acme/open acme/other acme/secret jane/own"},
			"a stranger":          {auth.Sight{UserID: 1 << 40}, "acme/inner acme/open"},
			"within nothing":      {auth.Sight{UserID: id("jane"), Within: []string{}}, "acme/open"},
			"within one":          {auth.Sight{UserID: id("jane"), Within: []string{"acme/other"}}, "acme/open acme/other"},
			"within two":          {auth.Sight{UserID: id("jane"), Within: []string{"acme/other", "jane/*"}}, "acme/open acme/other jane/own"},
			"within what is not":  {auth.Sight{UserID: id("john"), Within: []string{"acme/*"}}, "acme/inner acme/open acme/secret"},
			"everything within":   {auth.Sight{All: true, Within: []string{"acmes/*", "nul\x00"}}, "acme/open acmes/secret"},
			"within a whole name": {auth.Sight{All: true, Within: []string{"acme"}}, "acme/open"},
		} {
			found, err := b.Repositories(ctx, "", 100, tt.sight)
			check(t, err)
			var got []string
			for _, n := range found {
				got = append(got, string(n))
			}
			if d := diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		}

		// The last owner stays whoever tries what at the same time.
		set("acme", "john", auth.Owner, nil)
		errs := together(2, func(i int) error { return b.SetRole(ctx, "acme", []string{"jane", "john"}[i], auth.NoRole) })
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("two owners went at once: %v", errs)
		}
	})
}

// A name is that of one user or of one organization.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "acme/model", auth.Public)
		if _, err := b.CreateUser(ctx, auth.User{Name: "acme", PasswordHash: "x"}); !errors.Is(err, auth.ErrNamespaceTaken) {
			t.Errorf("a user in the name of an organization: %v", err)
		}
		if _, err := b.User(ctx, "acme"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("what is left of it: %v", err)
		}
		check(t, b.SetGate(ctx, "jane", registry.GateBlock)) // settings before there is anybody
		jane, err := b.CreateUser(ctx, auth.User{Name: "jane", PasswordHash: "x"})
		check(t, err)
		b.repo(t, "jane/model", auth.Private)
		u, err := b.User(ctx, "jane")
		check(t, err)
		if u.ID != jane.ID || u.Roles["jane"] != auth.Owner {
			t.Errorf("jane is %+v", u)
		}
		gates, err := b.Gates(ctx)
		check(t, err)
		if gates["jane"] != registry.GateBlock {
			t.Errorf("gates are %v", gates)
		}
	})
}

// TestRolesMigration is about hubs from before there were roles.
func TestRolesMigration(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			open := openSQLite
			if e == Postgres {
				open = openPostgres
			}
			db, err := open(ctx, strings.TrimPrefix(newURL(t, e), "sqlite:"), OpenOptions{Unsafe: true})
			check(t, err)
			t.Cleanup(func() { check(t, db.Close()) })
			steps, err := migrations.Load(string(e))
			check(t, err)
			before := 0
			for i, s := range steps {
				if s.Name == "roles" {
					before = i
				}
			}
			check(t, migrateTo(ctx, db, steps[:before]))
			for _, statement := range []string{
				"INSERT INTO users (name, password_hash, admin, created_at) VALUES ('root', 'x', true, 1), ('jane', 'x', false, 2), ('john', 'x', false, 3)",
				`INSERT INTO repositories (name, visibility, created_at, updated_at) VALUES ('acme/model', 'private', 5, 5), ('acme/other', 'public', 4, 4),
					('root/model', 'private', 6, 6), ('jane/model', 'public', 7, 7), ('john/model', 'private', 8, 8), ('single', 'private', 9, 9)`,
				"INSERT INTO organizations (name, verification_gate, updated_at) VALUES ('acme', 'block', 10), ('jane', 'warn', 11), ('later', 'warn', 12)",
			} {
				_, err := db.writer.ExecContext(ctx, statement)
				check(t, err)
			}
			check(t, migrateTo(ctx, db, steps))
			b := bundle{clock: &clock{t: start}, outbox: &outbox{}}
			b.Store = New(db, Options{Clock: b.clock.now, Outbox: b.outbox})
			for name, want := range map[string]auth.Roles{
				"root": {"root": auth.Owner},
				"jane": {"jane": auth.Owner},
				"john": nil, // who could not see what is there
			} {
				u, err := b.User(ctx, name)
				check(t, err)
				if d := diff(want, u.Roles); d != "" {
					t.Errorf("roles of %s (-want +got):\n%s", name, d)
				}
			}
			type org struct {
				Name            string
				Created, UserID int64
			}
			orgs, err := list(ctx, db.reader, func(r row) (o org, err error) {
				err = r.Scan(&o.Name, &o.Created, &o.UserID)
				return o, err
			}, "SELECT o.name, COALESCE(o.created_at, 0), COALESCE(o.user_id, 0) FROM organizations o ORDER BY o.name")
			check(t, err)
			if d := diff([]org{{"acme", 4, 0}, {"jane", 2, 2}, {"john", 3, 3}, {"later", 0, 0}, {"root", 1, 1}, {"single", 9, 0}}, orgs); d != "" {
				t.Errorf("organizations (-want +got):\n%s", d)
			}
			gates, err := b.Gates(ctx)
			check(t, err)
			if len(gates) != 3 || gates["acme"] != registry.GateBlock {
				t.Errorf("gates are %v", gates)
			}
			seen, err := b.Repositories(ctx, "", 100, auth.Sight{UserID: 2})
			check(t, err)
			if d := diff([]registry.Name{"acme/other", "jane/model"}, seen); d != "" {
				t.Errorf("jane sees (-want +got):\n%s", d)
			}
		})
	}
}
