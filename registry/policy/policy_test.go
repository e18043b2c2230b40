package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const rules = `
@id("no-research-only")
@reason("Models for research only are not for production.")
forbid (principal, action == Action::"pull", resource)
when { resource.license.restrictions.contains("research") }
unless { principal in Organization::"labs" };

@id("territory")
@reason("The licence grants nothing in your country.")
forbid (principal, action == Action::"pull", resource)
when { resource.license.territories.containsAny([principal.country]) || (principal.country == "FR" && resource.license.territories.contains("EU")) };

@id("findings")
@reason("Its lineage has findings that nobody has waived.")
forbid (principal, action == Action::"push", resource)
when { resource.lineage.errors > 0 };

@advice("warn")
@id("unverified")
forbid (principal, action, resource)
when { resource.verification != "passed" };
`

func ptr[T any](v T) *T { return &v }

func TestDecide(t *testing.T) {
	t.Parallel()
	p, err := Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	good := Request{
		Principal: Principal{Name: "anna", Organizations: []string{"acme"}, Country: ptr("FR")},
		Action:    Pull, At: time.Unix(0, 0),
		Version: Version{Repository: "acme/model", Digest: "sha256:1", Verification: "passed"},
	}
	with := func(change func(*Request)) Request {
		q := good
		change(&q)
		return q
	}
	tests := []struct {
		name string
		q    Request
		want Decision
	}{
		{"nothing against it", good, Decision{Allowed: true}},
		{
			"research", with(func(q *Request) { q.Version.License.Restrictions = []string{"use-policy", "research"} }),
			Decision{Denied: []Reason{{"no-research-only", "Models for research only are not for production."}}},
		},
		{"research by researchers", with(func(q *Request) {
			q.Version.License.Restrictions = []string{"research"}
			q.Principal.Organizations = []string{"acme", "labs"}
		}), Decision{Allowed: true}},
		{
			"in an excluded country", with(func(q *Request) { q.Version.License.Territories = []string{"EU", "GB"} }),
			Decision{Denied: []Reason{{"territory", "The licence grants nothing in your country."}}},
		},
		{
			"nobody knows where", with(func(q *Request) { q.Principal.Country = nil }),
			Decision{Denied: []Reason{{"territory", "The licence grants nothing in your country. (unless principal.country, which is not known, says otherwise)"}}, Missing: []string{"principal.country"}},
		},
		{
			"a push with findings", with(func(q *Request) { q.Action = Push; q.Version.Lineage.Errors = 1 }),
			Decision{Denied: []Reason{{"findings", "Its lineage has findings that nobody has waived."}}},
		},
		{
			"a warning", with(func(q *Request) { q.Version.Verification = "pending" }),
			Decision{Allowed: true, Warned: []Reason{{"unverified", "forbidden by the rule unverified"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Decide(tt.q, nil, p)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Before the files have been read, a pull is refused where it depends on
	// them, and a push waits.
	early := with(func(q *Request) { q.Version.Pending, q.Version.Verification = true, "passed" })
	if d := Decide(early, p); d.Allowed || !slices.Contains(d.Missing, "resource.license") {
		t.Errorf("a pull of what has not been read: %+v", d)
	}
	early.Action = Push
	if d := Decide(early, p); !d.Allowed || len(d.Deferred) != 1 || d.Deferred[0].Rule != "findings" {
		t.Errorf("a push of what has not been read: %+v", d)
	}
	if d := Decide(good); !d.Allowed {
		t.Error("without a policy nothing is permitted")
	}
}

// TestEveryAttribute pins the vocabulary that rules are written in.
func TestEveryAttribute(t *testing.T) {
	t.Parallel()
	for _, c := range []string{
		`principal.name == "anna"`, `principal.admin`, `principal.anonymous`, `principal.country == "FR"`, `principal.commercial`, `principal.monthlyUsers > 1`, `principal.annualRevenueUSD > 1`, `principal.purpose == "x"`,
		`principal in Organization::"acme"`, `resource in Organization::"acme"`, `resource.organization == "acme"`, `resource.repository like "acme/*"`, `resource.digest == ""`, `resource.format == "gguf"`,
		`resource.programs.contains("pickle")`, `resource.parameters > 1`, `resource.verification == "passed"`, `resource.signed`, `resource.openness.claimed < 3`, `resource.openness.verified < 3`, `resource.openness.osaid == "fails"`,
		`resource.license.expression == "MIT"`, `resource.license.ids.contains("MIT")`, `resource.license.openness == "open"`, `resource.license.commercial == "yes"`, `resource.license.modify == "yes"`, `resource.license.redistribute == "yes"`,
		`resource.license.restrictions.contains("x")`, `resource.license.territories.contains("EU")`, `resource.license.osi`, `resource.license.textMatch`,
		`resource.lineage.errors > 0`, `resource.lineage.warnings > 0`, `resource.lineage.findings.contains("L01")`, `resource.lineage.bases.contains("a/b")`, `resource.lineage.unknown`, `context.now > datetime("2026-01-01")`,
	} {
		if _, err := Parse("forbid (principal, action, resource) when { " + c + " };"); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no Cedar":          "forbid everything",
		"permit":            "permit (principal, action, resource);",
		"unknown attribute": `forbid (principal, action, resource) when { resource.licence.osi };`,
		"wrong type":        `forbid (principal, action, resource) when { resource.openness.verified == "L3" && resource.parameters > "x" || resource.license.osi > 3 };`,
		"annotation":        `@owner("me") forbid (principal, action, resource);`,
		"advice":            `@advice("block") forbid (principal, action, resource);`,
		"two of a name":     `@id("a") forbid (principal, action, resource); @id("a") forbid (principal, action, resource);`,
		"long":              strings.Repeat(" ", MaxText+1),
		"deep":              "forbid (principal, action, resource) when { " + strings.Repeat("(", 10_000) + "true" + strings.Repeat(")", 10_000) + " };",
		"many":              strings.Repeat("forbid (principal, action, resource);", maxRules+1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := Parse("  // nothing\n"); err != nil || len(p.Rules()) != 0 {
		t.Errorf("a text without rules: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(rules)
	f.Add(`forbid (principal, action, resource) when { ip("1.2.3.4").isLoopback() };`)
	f.Fuzz(func(_ *testing.T, text string) {
		if p, err := Parse(text); err == nil {
			Decide(sample(Pull), p)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p, err := Parse(rules)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Decide(sample(Pull), p)
	}
}
