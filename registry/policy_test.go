package registry

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry/policy"
)

// policyStore is a shelf with policies that counts what it is asked.
type policyStore struct {
	shelf
	texts    map[Name]string
	history  []PolicyText
	standing string
	party    map[string]string // fields of everybody's newest acceptance
	asked    map[string]int
	roles    map[string]auth.Roles
}

func (s *policyStore) Policies(context.Context) (map[Name]string, error) {
	s.asked["policies"]++
	return maps.Clone(s.texts), nil
}

func (s *policyStore) PutPolicy(_ context.Context, p PolicyText) error {
	s.texts[p.Scope] = p.Text
	if p.Text == "" {
		delete(s.texts, p.Scope)
	}
	s.history = append(s.history, p)
	return nil
}

func (s *policyStore) Version(ctx context.Context, n Name, ref Reference) (Version, error) {
	s.asked["version"]++
	if s.versions[n] == nil {
		return Version{}, Errorf(CodeManifestUnknown, "unknown")
	}
	return s.shelf.Version(ctx, n, ref)
}

func (s *policyStore) Versions(_ context.Context, n Name, _ int) ([]Version, error) {
	if v := s.versions[n]; v != nil {
		return []Version{*v}, nil
	}
	return nil, nil
}

func (s *policyStore) LicenseTexts(context.Context) ([]StoredLicenseText, error) { return nil, nil }

func (s *policyStore) Repositories(_ context.Context, last Name, limit int, _ auth.Sight) (list []Name, err error) {
	for _, n := range []Name{"acme/free", "acme/nc", "acme/none", "other/nc"} {
		if n > last && len(list) < limit {
			list = append(list, n)
		}
	}
	return list, nil
}

func (s *policyStore) ManifestStanding(context.Context, Name, Digest) (Standing, error) {
	s.asked["standing"]++
	return Standing{State: s.standing}, nil
}

func (s *policyStore) Acceptances(context.Context, int64, Name, int) ([]Acceptance, error) {
	s.asked["acceptances"]++
	if s.party == nil {
		return nil, nil
	}
	p, err := json.Marshal(Party{User: "jane", Fields: s.party})
	return []Acceptance{{Party: p, State: ConsentAccepted}}, err
}

func (s *policyStore) PolicyPrincipal(_ context.Context, name string) (auth.Principal, error) {
	s.asked["principal"]++
	return auth.Principal{Name: name, Roles: s.roles[name]}, nil
}

func (s *policyStore) ConsentGates(context.Context) (map[string]ConsentGate, error) { return nil, nil }

func (s *policyStore) LineageGates(context.Context) (map[string]Gate, error) { return nil, nil }

var (
	policyAdmin = auth.Principal{UserID: 1, Name: "admin", Admin: true}
	jane        = auth.Principal{UserID: 2, Name: "jane"}
)

func setupPolicy() (*Registry, *policyStore, *time.Time) {
	s := &policyStore{texts: map[Name]string{}, asked: map[string]int{}, standing: StatePassed}
	s.put("acme/free", "mit")
	s.put("acme/nc", "cc-by-nc-4.0")
	s.put("other/nc", "cc-by-nc-4.0")
	now := time.Unix(0, 0)
	return New(Options{Store: s, Clock: func() time.Time { return now }}), s, &now
}

func pullAs(t *testing.T, p auth.Principal, n Name) auth.Grant {
	t.Helper()
	g, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: string(n), Visibility: auth.Public})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// pull asks for the version of a model.
func (s *policyStore) pull(t *testing.T, r *Registry, p auth.Principal, n Name) error {
	t.Helper()
	return r.passPolicy(t.Context(), pullAs(t, p, n), n, func(context.Context) ([]Digest, error) { return []Digest{DigestOf(SHA256, []byte(n))}, nil })
}

const noNC = `@id("no-nc") @reason("Only what may be used commercially.") forbid (principal, action == Action::"pull", resource) when { resource.license.commercial != "yes" };`

func TestPolicyOfPulls(t *testing.T) {
	t.Parallel()
	r, s, now := setupPolicy()
	if err := s.pull(t, r, jane, "acme/nc"); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	if s.asked["version"]+s.asked["standing"] > 0 {
		t.Errorf("without a policy it was asked for %v", s.asked)
	}
	if err := r.SetPolicy(t.Context(), policyAdmin, "acme", noNC); err != nil {
		t.Fatal(err)
	}

	err := s.pull(t, r, jane, "acme/nc")
	var refused *PolicyError
	if !IsCode(err, CodeDenied) || !errors.As(err, &refused) || len(refused.Decision.Denied) != 1 || refused.Decision.Denied[0].Rule != "no-nc" {
		t.Fatalf("what is not for commercial use: %v", err)
	}
	if !strings.Contains(refused.Error(), "Only what may be used commercially.") {
		t.Errorf("it says %q", refused.Error())
	}
	if err := s.pull(t, r, auth.Principal{}, "acme/nc"); !IsCode(err, CodeUnauthorized) || !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("by nobody: %v", err)
	}
	for n, p := range map[Name]auth.Principal{"acme/free": jane, "other/nc": jane, "acme/gone": jane, "acme/nc": policyAdmin} {
		if err := s.pull(t, r, p, n); err != nil {
			t.Errorf("%s by %s: %v", n, p.Name, err)
		}
	}

	// Nothing is known of what belongs to no version.
	none := r.passPolicy(t.Context(), pullAs(t, jane, "acme/free"), "acme/free", func(context.Context) ([]Digest, error) { return nil, nil })
	if !IsCode(none, CodeDenied) || !strings.Contains(none.Error(), "belongs to no version") {
		t.Errorf("content of no version: %v", none)
	}

	// A decision about known facts asks the store for nothing.
	clear(s.asked)
	_ = s.pull(t, r, jane, "acme/nc")
	if len(s.asked) > 0 {
		t.Errorf("it was asked for %v", s.asked)
	}
	// Facts that change count when those that are known are old.
	s.put("acme/nc", "mit")
	*now = now.Add(gateAge)
	if err := s.pull(t, r, jane, "acme/nc"); err != nil {
		t.Errorf("after the licence changed: %v", err)
	}

	// The hub's rules hold everywhere, and what cannot be read forbids all.
	if err := r.SetPolicy(t.Context(), policyAdmin, "", noNC); err != nil {
		t.Fatal(err)
	}
	if err := s.pull(t, r, jane, "other/nc"); !IsCode(err, CodeDenied) {
		t.Errorf("by the hub's rules: %v", err)
	}
	s.texts[""] = "forbid everything"
	*now = now.Add(gateAge)
	if err := s.pull(t, r, jane, "acme/free"); !IsCode(err, CodeDenied) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("by a policy that cannot be read: %v", err)
	}
}

func TestPolicyOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	r, s, now := setupPolicy()
	text := `@id("where") @reason("Not in France.") forbid (principal, action == Action::"pull", resource) when { principal.country == "FR" };`
	if err := r.SetPolicy(t.Context(), policyAdmin, "acme", text); err != nil {
		t.Fatal(err)
	}
	err := s.pull(t, r, jane, "acme/free")
	if !IsCode(err, CodeDenied) || !strings.Contains(err.Error(), "Not known: principal.country.") {
		t.Errorf("from nobody knows where: %v", err)
	}
	s.party = map[string]string{"Country": "de"}
	if err := s.pull(t, r, jane, "acme/free"); err != nil {
		t.Errorf("from Germany: %v", err)
	}
	s.party = map[string]string{"Country": "fr"}
	if err := s.pull(t, r, jane, "acme/free"); !IsCode(err, CodeDenied) || strings.Contains(err.Error(), "Not known") {
		t.Errorf("from France: %v", err)
	}

	if err := r.SetPolicy(t.Context(), policyAdmin, "acme", noNC); err != nil {
		t.Fatal(err)
	}
	s.versions["acme/free"].Facts = nil
	*now = now.Add(gateAge)
	if err := s.pull(t, r, jane, "acme/free"); !IsCode(err, CodeDenied) || !strings.Contains(err.Error(), "resource.license") {
		t.Errorf("what has not been read: %v", err)
	}
}

func TestPolicyOfPushes(t *testing.T) {
	t.Parallel()
	r, s, _ := setupPolicy()
	push := func(p auth.Principal) error {
		g, err := auth.Allow(p, auth.Push, auth.Resource{Repository: "acme/nc", Visibility: auth.Public})
		if err != nil {
			t.Fatal(err)
		}
		return r.passPush(t.Context(), g, "acme/nc", Digest{})
	}
	for _, text := range []string{
		strings.Replace(noNC, `"pull"`, `"push"`, 1),
		`@id("robots") forbid (principal, action == Action::"push", resource) unless { principal.name == "robot" };`,
	} {
		if err := r.SetPolicy(t.Context(), policyAdmin, "acme", text); err != nil {
			t.Fatal(err)
		}
		early := push(policyAdmin)
		if robots := strings.Contains(text, "robots"); IsCode(early, CodeDenied) != robots {
			t.Errorf("at the push by %s: %v", text, early)
		}
		var refused *PolicyError
		if err := s.pull(t, r, jane, "acme/nc"); !errors.As(err, &refused) || refused.Action != policy.Push {
			t.Errorf("pulling what might not be pushed: %v", err)
		}
	}
	s.versions["acme/nc"].PushedBy = "robot"
	clear(r.policies.facts)
	if err := s.pull(t, r, jane, "acme/nc"); err != nil {
		t.Errorf("pulling what the robot pushed: %v", err)
	}
	if d, err := r.PolicyDecision(t.Context(), pullAs(t, jane, "acme/nc"), s.versions["acme/nc"].Digest, true); err != nil || !d.Allowed {
		t.Errorf("the push by the robot: %+v %v", d, err)
	}
}

// Rules about roles and members know those of now, also when a token asks, and
// judge a push by who pushed.
func TestPolicyOfMembers(t *testing.T) {
	t.Parallel()
	r, s, _ := setupPolicy()
	token := func(p auth.Principal) auth.Principal {
		p.Limited, p.Scopes = true, []auth.Scope{{Type: auth.TypeRepository, Name: "acme/nc", Actions: []string{"pull"}}}
		return p
	}
	reader := auth.Principal{UserID: 3, Name: "reader", Roles: auth.Roles{"acme/nc": auth.Reader, "labs": auth.Owner}}
	readerToken := token(reader)
	readerToken.Roles = auth.Roles{"acme/nc": auth.Reader} // as a token has them
	s.roles = map[string]auth.Roles{"reader": reader.Roles, "robot": {"acme/nc": auth.Writer}}
	const (
		readers = `forbid (principal, action == Action::"pull", resource) unless { principal.role == "reader" };`
		labs    = `forbid (principal, action == Action::"pull", resource) unless { principal in Organization::"labs" };`
		writers = `forbid (principal, action == Action::"push", resource) unless { principal.role == "writer" && !principal.admin };`
	)
	s.versions["acme/nc"].PushedBy = "jane"
	for _, tt := range []struct {
		text   string
		who    auth.Principal
		pusher string
		passes bool
		asked  int // for roles of now, beside those of who pushed
	}{
		{readers, reader, "jane", true, 0},
		{readers, readerToken, "jane", true, 0},
		{readers, jane, "jane", false, 0},
		{readers, auth.Principal{}, "jane", false, 0},
		{labs, reader, "jane", true, 0},
		{labs, readerToken, "jane", true, 1},
		{labs, jane, "jane", false, 0},
		{labs, token(jane), "jane", false, 1},
		{labs, auth.Principal{}, "jane", false, 0},
		{writers, jane, "jane", false, 0},
		{writers, jane, "robot", true, 0},
		{writers, jane, "nobody", false, 0},
	} {
		if err := r.SetPolicy(t.Context(), policyAdmin, "acme", tt.text); err != nil {
			t.Fatal(err)
		}
		s.versions["acme/nc"].PushedBy = tt.pusher
		clear(r.policies.facts)
		s.asked["principal"] = 0
		if err := s.pull(t, r, tt.who, "acme/nc"); (err == nil) != tt.passes {
			t.Errorf("%s: %+v pulls what %s pushed: %v", tt.text, tt.who, tt.pusher, err)
		}
		if got := s.asked["principal"] - 1; got != tt.asked {
			t.Errorf("%s: %+v: asked %d times", tt.text, tt.who, got)
		}
	}
}

func TestSetPolicy(t *testing.T) {
	t.Parallel()
	r, s, _ := setupPolicy()
	for name, tt := range map[string]struct {
		by    auth.Principal
		scope Name
		text  string
		code  Code
		is    error
	}{
		"by nobody":     {auth.Principal{}, "acme", noNC, "", auth.ErrUnauthenticated},
		"by a user":     {jane, "acme", noNC, "", auth.ErrDenied},
		"of a model":    {policyAdmin, "acme/nc", noNC, CodeNameInvalid, nil},
		"no Cedar":      {policyAdmin, "acme", "forbid everything", CodePolicyInvalid, nil},
		"permits":       {policyAdmin, "", "permit (principal, action, resource);", CodePolicyInvalid, nil},
		"unknown facts": {policyAdmin, "", `forbid (principal, action, resource) when { resource.colour == "red" };`, CodePolicyInvalid, nil},
	} {
		err := r.SetPolicy(t.Context(), tt.by, tt.scope, tt.text)
		if tt.is != nil && !errors.Is(err, tt.is) || tt.code != "" && !IsCode(err, tt.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(s.history) > 0 {
		t.Errorf("stored: %+v", s.history)
	}
	if _, err := r.PolicyHistory(t.Context(), jane, "acme"); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("read by a user: %v", err)
	}
}

func TestTestPolicy(t *testing.T) {
	t.Parallel()
	r, s, _ := setupPolicy()
	if _, err := r.TestPolicy(t.Context(), jane, PolicyTest{Text: noNC}); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("by a user: %v", err)
	}
	got, err := r.TestPolicy(t.Context(), policyAdmin, PolicyTest{Scope: "acme", Text: noNC})
	if err != nil || got.Models != 2 || len(got.Broken) != 1 || got.Broken[0].Name != "acme/nc" || got.Broken[0].Decision.Denied[0].Rule != "no-nc" || got.Next != "" {
		t.Errorf("of an organization: %+v %v", got, err)
	}
	got, err = r.TestPolicy(t.Context(), policyAdmin, PolicyTest{Text: noNC})
	if err != nil || got.Models != 3 || len(got.Broken) != 2 {
		t.Errorf("of the hub: %+v %v", got, err)
	}
	if len(s.texts) > 0 {
		t.Errorf("a test put %v in force", s.texts)
	}

	s.texts[""] = noNC
	r.policies.read = time.Time{}
	got, err = r.TestPolicy(t.Context(), policyAdmin, PolicyTest{Text: ""})
	if err != nil || len(got.Broken) != 0 || len(got.Mended) != 2 {
		t.Errorf("taking it away: %+v %v", got, err)
	}
}

// BenchmarkPolicy measures what a pull pays for the decision of a policy, with
// facts that are known and with none in force.
func BenchmarkPolicy(b *testing.B) {
	for name, text := range map[string]string{"none": "", "one rule": noNC, "ten rules": tenRules()} {
		b.Run(name, func(b *testing.B) {
			r, s, _ := setupPolicy()
			if text != "" {
				s.texts["acme"] = text
			}
			g, err := auth.Allow(jane, auth.Pull, auth.Resource{Repository: "acme/free", Visibility: auth.Public})
			if err != nil {
				b.Fatal(err)
			}
			digests := func(context.Context) ([]Digest, error) { return []Digest{DigestOf(SHA256, []byte("acme/free"))}, nil }
			b.ReportAllocs()
			for b.Loop() {
				if err := r.passPolicy(b.Context(), g, "acme/free", digests); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func tenRules() string {
	var all strings.Builder
	for i := range 10 {
		all.WriteString(strings.Replace(noNC, "no-nc", "no-nc-"+string(rune('a'+i)), 1) + "\n")
	}
	return all.String()
}
