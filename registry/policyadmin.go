package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry/policy"
)

// maxPolicyHistory is how many texts of a scope are shown.
const maxPolicyHistory = 50

// maxPolicyTest is how many models one call of TestPolicy looks at.
const maxPolicyTest = 500

func checkScope(scope Name) error {
	if scope == "" {
		return nil
	}
	return checkOrg(scope)
}

// SetPolicy puts a policy in force for an organization, or for the hub when
// scope is "". A text of "" takes it away. The maintainers of an
// organization may, for the hub administrators. Other nodes follow within five seconds. Errors: auth.ErrDenied, auth.ErrUnauthenticated,
// CodeNameInvalid, CodePolicyInvalid.
func (r *Registry) SetPolicy(ctx context.Context, p auth.Principal, scope Name, text string) error {
	if err := checkScope(scope); err != nil {
		return err
	}
	if err := auth.Oversee(p, auth.Maintain, string(scope)); err != nil {
		return err
	}
	if _, err := parsePolicy(text); err != nil {
		return err
	}
	if err := r.store.PutPolicy(ctx, PolicyText{scope, text, p.Name, r.now()}); err != nil {
		return err
	}
	r.policies.mu.Lock()
	defer r.policies.mu.Unlock()
	r.policies.read = time.Time{}
	return nil
}

func parsePolicy(text string) (*policy.Policy, error) {
	if text == "" {
		return nil, nil
	}
	p, err := policy.Parse(text)
	if err != nil {
		return nil, Errorf(CodePolicyInvalid, "%w", err)
	}
	return p, nil
}

// PolicyHistory returns the newest texts of a scope, that in force first.
// The maintainers of an organization may, for the hub administrators. Errors: auth.ErrDenied, auth.ErrUnauthenticated,
// CodeNameInvalid.
func (r *Registry) PolicyHistory(ctx context.Context, p auth.Principal, scope Name) ([]PolicyText, error) {
	if err := checkScope(scope); err != nil {
		return nil, err
	}
	if err := auth.Oversee(p, auth.Maintain, string(scope)); err != nil {
		return nil, err
	}
	return r.store.PolicyHistory(ctx, scope, maxPolicyHistory)
}

// PolicyDecision tells what the policies in force say to the pull or the push
// of a version by who has the grant, though those who may push there can
// always pull. Errors: CodeManifestUnknown.
func (r *Registry) PolicyDecision(ctx context.Context, g auth.Grant, d Digest, push bool) (PolicyDecision, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return PolicyDecision{}, err
	}
	rules, err := r.policiesOf(ctx, orgOf(n))
	if err != nil || len(rules) == 0 {
		return PolicyDecision{Allowed: true}, err
	}
	f, err := r.policedFacts(ctx, n, d, rules)
	if err != nil {
		return PolicyDecision{}, err
	}
	if f.none {
		return PolicyDecision{}, Errorf(CodeManifestUnknown, "manifest %s is no version of %s", d, n)
	}
	if p := g.Principal(); !push {
		return r.decidePull(ctx, p, n, f.version, rules)
	}
	return f.push, nil
}

// PolicyTest asks what a policy would change if it were in force in the place
// of the one that is.
type PolicyTest struct {
	Scope Name   `json:"scope"` // an organization, "" for the hub
	Text  string `json:"text"`
	// Fields is what who pulls would say of themselves, as in a form of terms:
	// "country", "commercial", "purpose".
	Fields map[string]string `json:"fields,omitempty"`
	After  Name              `json:"after,omitempty"` // the model after which to go on
}

// PolicyBreak is a version that can be pulled now, and then no more.
type PolicyBreak struct {
	Name     Name           `json:"name"`
	Digest   Digest         `json:"digest"`
	Tags     []Tag          `json:"tags"`
	Action   string         `json:"action"` // which rules forbid: those about "pull", or those about "push"
	Decision PolicyDecision `json:"decision"`
}

// PolicyTestResult is what a test found among some of the models.
type PolicyTestResult struct {
	Models int           `json:"models"` // how many were looked at
	Broken []PolicyBreak `json:"broken"`
	Mended []Name        `json:"mended"`         // models that cannot be pulled now, and could then
	Next   Name          `json:"next,omitempty"` // the After of the next call, "" when it was the last one
}

// TestPolicy decides about the newest version of each model as it would be
// pulled by somebody who is not signed in, and changes nothing. The
// maintainers of an organization may, for the hub administrators. Errors: auth.ErrDenied, auth.ErrUnauthenticated,
// CodeNameInvalid, CodePolicyInvalid.
func (r *Registry) TestPolicy(ctx context.Context, p auth.Principal, t PolicyTest) (*PolicyTestResult, error) {
	if err := checkScope(t.Scope); err != nil {
		return nil, err
	}
	if err := auth.Oversee(p, auth.Maintain, string(t.Scope)); err != nil {
		return nil, err
	}
	tried, err := parsePolicy(t.Text)
	if err != nil {
		return nil, err
	}
	last, within := t.After, ""
	if t.Scope != "" {
		within = string(t.Scope) + "/"
		last = max(last, Name(within))
	}
	names, err := r.store.Repositories(ctx, last, maxPolicyTest, auth.Sight{All: true})
	if err != nil {
		return nil, err
	}
	result := &PolicyTestResult{Broken: []PolicyBreak{}, Mended: []Name{}}
	if len(names) == maxPolicyTest {
		result.Next = names[len(names)-1]
	}
	for _, n := range names {
		if !strings.HasPrefix(string(n), within) {
			result.Next = ""
			break
		}
		list, err := r.store.Versions(ctx, n, 1)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		result.Models++
		if err := r.testPolicy(ctx, t, tried, &list[0], result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// testPolicy compares what is said of one version with what would be.
func (r *Registry) testPolicy(ctx context.Context, t PolicyTest, tried *policy.Policy, v *Version, result *PolicyTestResult) error {
	before, after, err := r.replaced(ctx, orgOf(v.Name), t.Scope, tried)
	if err != nil {
		return err
	}
	signed := false
	for _, x := range slices.Concat(before, after) {
		signed = signed || x.Mentions("signed")
	}
	f, err := r.factsOf(ctx, v, signed)
	if err != nil {
		return err
	}
	var who policy.Principal
	assert(&who, t.Fields)
	decide := func(rules []*policy.Policy) (policy.Action, PolicyDecision) {
		q := f.pushed(r.now())
		if d := policy.Decide(q, rules...); !d.Allowed {
			return policy.Push, d
		}
		q.Principal, q.Action = who, policy.Pull
		return policy.Pull, policy.Decide(q, rules...)
	}
	_, now := decide(before)
	action, then := decide(after)
	switch {
	case now.Allowed && !then.Allowed:
		result.Broken = append(result.Broken, PolicyBreak{v.Name, v.Digest, v.Tags, string(action), then})
	case !now.Allowed && then.Allowed:
		result.Mended = append(result.Mended, v.Name)
	}
	return nil
}

// replaced returns the policies that are in force for an organization, and
// those that would be with another one for a scope.
func (r *Registry) replaced(ctx context.Context, org string, scope Name, tried *policy.Policy) (before, after []*policy.Policy, err error) {
	if before, err = r.policiesOf(ctx, org); err != nil {
		return nil, nil, err
	}
	r.policies.mu.Lock()
	defer r.policies.mu.Unlock()
	for _, s := range []Name{"", Name(org)} {
		p := r.policies.byScope[s]
		if s == scope {
			p = tried
		}
		if p != nil {
			after = append(after, p)
		}
	}
	return before, after, nil
}
