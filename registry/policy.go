package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry/policy"
)

// PolicyDecision is what policies say to one pull or push.
type PolicyDecision = policy.Decision

// PolicyText is a policy as somebody wrote it. Scope is an organization, or
// "" for the hub. A Text of "" takes the policy away.
type PolicyText struct {
	Scope Name      `json:"scope"`
	Text  string    `json:"text"`
	By    string    `json:"by,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

// PolicyStore keeps policies with those before them.
type PolicyStore interface {
	// Policies returns the texts that are in force by their scopes.
	Policies(ctx context.Context) (map[Name]string, error)
	// PutPolicy puts a text in force.
	PutPolicy(ctx context.Context, p PolicyText) error
	// PolicyPrincipal returns who has a name, with their roles of now, and with
	// nothing but the name for who is not there any more.
	PolicyPrincipal(ctx context.Context, name string) (auth.Principal, error)
	// PolicyHistory returns the texts of a scope, newest first.
	PolicyHistory(ctx context.Context, scope Name, limit int) ([]PolicyText, error)
}

// PolicyError says that a policy forbids something.
type PolicyError struct {
	Name     Name
	Digest   Digest // of the version, zero for content of several
	Action   policy.Action
	Decision PolicyDecision
}

// Error implements error; the client sees it.
func (e *PolicyError) Error() string {
	words := make([]string, len(e.Decision.Denied))
	for i, r := range e.Decision.Denied {
		words[i] = r.Message
	}
	what := fmt.Sprintf("a policy forbids to %s %s: %s", e.Action, e.Name, strings.Join(words, " "))
	if len(e.Decision.Missing) > 0 {
		what += " Not known: " + strings.Join(e.Decision.Missing, ", ") + "."
	}
	return what
}

// policies are those in force, as last read.
type policies struct {
	mu      sync.Mutex
	byScope map[Name]*policy.Policy
	texts   map[Name]string
	read    time.Time               // zero when they must be read
	facts   map[string]policedFacts // by workID
}

// policedFacts is what policies are told of a version.
type policedFacts struct {
	version policy.Version
	pusher  policy.Principal
	none    bool // it is no version
	at      time.Time

	// push is what rules said of its push, which is not about who pulls.
	push  PolicyDecision
	rules []*policy.Policy
}

// unreadable stands for a policy that can no longer be read: it forbids all.
const unreadable = `@id("unreadable-policy") @reason("The policy cannot be read; an administrator has to set it anew.") forbid (principal, action, resource);`

// policiesOf returns what is in force for an organization, nil for nothing.
func (r *Registry) policiesOf(ctx context.Context, org string) ([]*policy.Policy, error) {
	s := &r.policies
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := r.now(); s.read.IsZero() || now.Sub(s.read) >= gateAge {
		texts, err := r.store.Policies(ctx)
		if err != nil {
			return nil, err
		}
		byScope := make(map[Name]*policy.Policy, len(texts))
		for scope, text := range texts {
			if p := s.byScope[scope]; p != nil && s.texts[scope] == text {
				byScope[scope] = p
				continue
			}
			p, err := policy.Parse(text)
			if err != nil {
				if p, err = policy.Parse(unreadable); err != nil {
					return nil, err
				}
			}
			byScope[scope] = p
		}
		s.byScope, s.texts, s.read = byScope, texts, now
	}
	var list []*policy.Policy
	for _, scope := range []Name{"", Name(org)} {
		if p := s.byScope[scope]; p != nil {
			list = append(list, p)
		}
	}
	return list, nil
}

// passPolicy lets a pull through when no policy forbids it, to those who may
// push there in any case. versions finds the manifests that are asked for.
func (r *Registry) passPolicy(ctx context.Context, g auth.Grant, n Name, versions func(context.Context) ([]Digest, error)) error {
	rules, err := r.policiesOf(ctx, orgOf(n))
	if err != nil || len(rules) == 0 || g.MayPush() {
		return err
	}
	digests, err := versions(ctx)
	if err != nil {
		return err
	}
	// What belongs to no version is something of which nothing is known.
	refusal := &PolicyError{Name: n, Action: policy.Pull, Decision: PolicyDecision{Denied: []policy.Reason{{Message: "This content belongs to no version."}}}}
	for _, d := range digests {
		f, err := r.policedFacts(ctx, n, d, rules)
		if err != nil {
			return err
		}
		if f.none {
			return nil
		}
		if refusal, err = r.police(ctx, g.Principal(), n, d, f, rules); err != nil || refusal == nil {
			return err
		}
	}
	if len(digests) != 1 {
		refusal.Digest = Digest{}
	}
	if p := g.Principal(); p.Anonymous() && !p.Limited {
		return Wrap(errors.Join(refusal, auth.ErrUnauthenticated), CodeUnauthorized, refusal.Error())
	}
	return Wrap(refusal, CodeDenied, refusal.Error())
}

// police decides about a pull: the version must be one that may be pulled, and
// one that might be pushed, which nobody could tell when it was.
func (r *Registry) police(ctx context.Context, p auth.Principal, n Name, d Digest, f policedFacts, rules []*policy.Policy) (*PolicyError, error) {
	if !f.push.Allowed {
		return &PolicyError{n, d, policy.Push, f.push}, nil
	}
	pull, err := r.decidePull(ctx, p, n, f.version, rules)
	if err != nil || pull.Allowed {
		return nil, err
	}
	return &PolicyError{n, d, policy.Pull, pull}, nil
}

// decidePull decides by who asks, and only where a rule wants to know more of
// them by what they said when they accepted terms of the model.
func (r *Registry) decidePull(ctx context.Context, p auth.Principal, n Name, v policy.Version, rules []*policy.Policy) (PolicyDecision, error) {
	who, err := r.policed(ctx, p, n, rules)
	if err != nil {
		return PolicyDecision{}, err
	}
	q := policy.Request{Principal: who, Action: policy.Pull, Version: v, At: r.now()}
	d := policy.Decide(q, rules...)
	if p.Anonymous() || !slices.ContainsFunc(d.Missing, func(s string) bool { return strings.HasPrefix(s, "principal.") }) {
		return d, nil
	}
	list, err := r.store.Acceptances(ctx, p.UserID, n, 1)
	if err != nil || len(list) == 0 || list[0].State == ConsentDenied {
		return d, err
	}
	var told Party
	if list[0].Party == nil { // erased
		return d, nil
	}
	if err := json.Unmarshal(list[0].Party, &told); err != nil {
		return d, fmt.Errorf("read who accepted: %w", err)
	}
	assert(&q.Principal, told.Fields)
	return policy.Decide(q, rules...), nil
}

// assert takes what somebody said of themselves, by the usual names of fields.
func assert(p *policy.Principal, fields map[string]string) {
	for name, value := range fields {
		letters := strings.Map(func(c rune) rune {
			if !unicode.IsLetter(c) {
				return -1
			}
			return unicode.ToLower(c)
		}, name)
		number := func() *int64 {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				return &n
			}
			return nil
		}
		switch letters {
		case "country":
			p.Country = new(strings.ToUpper(value))
		case "purpose":
			p.Purpose = &value
		case "commercial":
			if v := strings.ToLower(value); v == "true" || v == "yes" {
				p.Commercial = new(true)
			} else if v == "false" || v == "no" {
				p.Commercial = new(false)
			}
		case "monthlyusers":
			p.MonthlyUsers = number()
		case "annualrevenueusd":
			p.AnnualRevenueUSD = number()
		}
	}
}

// passPush refuses the push of a version that a policy forbids as far as can
// be told before the files have been read. Other rules wait, see police.
func (r *Registry) passPush(ctx context.Context, g auth.Grant, n Name, d Digest) error {
	rules, err := r.policiesOf(ctx, orgOf(n))
	if err != nil || len(rules) == 0 {
		return err
	}
	who, err := r.policed(ctx, g.Principal(), n, rules)
	if err != nil {
		return err
	}
	q := policy.Request{
		Principal: who, Action: policy.Push, At: r.now(),
		Version: policy.Version{Repository: string(n), Digest: d.String(), Pending: true, Verification: "pending"},
	}
	decision := policy.Decide(q, rules...)
	if decision.Allowed {
		return nil
	}
	refusal := &PolicyError{n, d, policy.Push, decision}
	return Wrap(refusal, CodeDenied, refusal.Error())
}

// policedFacts returns what policies are told of a manifest, which may be a
// few seconds old.
func (r *Registry) policedFacts(ctx context.Context, n Name, d Digest, rules []*policy.Policy) (policedFacts, error) {
	signed := slices.ContainsFunc(rules, func(p *policy.Policy) bool { return p.Mentions("signed") })
	key, now := workID(&Version{Name: n, Digest: d}), r.now()
	r.policies.mu.Lock()
	f, ok := r.policies.facts[key]
	r.policies.mu.Unlock()
	if ok && now.Sub(f.at) < gateAge && slices.Equal(f.rules, rules) {
		return f, nil
	}
	v, err := r.store.Version(ctx, n, Reference{Digest: d})
	switch {
	case IsCode(err, CodeManifestUnknown):
		f = policedFacts{none: true}
	case err != nil:
		return f, err
	default:
		if f, err = r.factsOf(ctx, &v, signed); err != nil {
			return f, err
		}
	}
	f.at, f.rules = now, rules
	if !f.none {
		f.push = policy.Decide(f.pushed(now), rules...)
	}
	r.policies.mu.Lock()
	defer r.policies.mu.Unlock()
	if r.policies.facts == nil || len(r.policies.facts) >= maxIdentities {
		r.policies.facts = map[string]policedFacts{}
	}
	r.policies.facts[key] = f
	return f, nil
}

// pushed asks about the push of the version, by who pushed it, with the rights
// that they have now.
func (f *policedFacts) pushed(now time.Time) policy.Request {
	return policy.Request{Principal: f.pusher, Action: policy.Push, Version: f.version, At: now}
}

// factsOf computes what policies are told of a version, as everybody may see it.
func (r *Registry) factsOf(ctx context.Context, v *Version, signed bool) (policedFacts, error) {
	standing, err := r.store.ManifestStanding(ctx, v.Name, v.Digest)
	if err != nil {
		return policedFacts{}, err
	}
	pusher, err := r.store.PolicyPrincipal(ctx, v.PushedBy)
	if err != nil {
		return policedFacts{}, err
	}
	who, err := r.policed(ctx, pusher, v.Name, nil)
	if err != nil {
		return policedFacts{}, err
	}
	f := policedFacts{pusher: who, version: policy.Version{
		Repository: string(v.Name), Digest: v.Digest.String(), Verification: standing.State, Pending: v.Facts == nil,
	}}
	if v.Facts == nil {
		return f, nil
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return f, err
	}
	a.police(&f.version, r.now())
	if signed {
		p, err := r.provenance(ctx, v.Name, v)
		if err != nil {
			return f, err
		}
		f.version.Signed = slices.ContainsFunc(p.Evidence, func(e Evidence) bool { return e.State == EvidenceVerified && !e.Own })
	}
	return f, nil
}

// police fills in what follows from the lineage alone.
func (a *Ancestry) police(f *policy.Version, now time.Time) {
	v := a.Versions[a.Graph.Root]
	f.Format, f.Parameters = v.Facts.Format, v.Facts.Parameters
	if len(v.Facts.Imports) > 0 || f.Format == "pytorch" || f.Format == "pickle" {
		f.Files = []string{"pickle"}
	}
	s := a.Assess(now)
	f.Claimed, f.Verified, f.OSAID = int(s.Openness.Claimed.Level), int(s.Openness.Verified.Level), string(s.Openness.OSAID.State)
	f.License = policedLicense(a.Graph, &s.Terms)
	f.License.Expression = DeclaredExpression(v.Facts).String()
	match := licenceOf(v.Facts, a.Graph.Works[a.Graph.Root].Text).Match
	f.License.TextMatch = match == openness.MatchSame || match == openness.MatchReviewed
	f.Lineage = policy.Lineage{Errors: s.Lineage.Errors(), Warnings: s.Lineage.Warnings(), Unknown: s.Lineage.Unknown}
	for _, x := range s.Lineage.Findings {
		if x.Waived == nil && !slices.Contains(f.Lineage.Findings, x.Rule) {
			f.Lineage.Findings = append(f.Lineage.Findings, x.Rule)
		}
	}
	for _, w := range s.Works[1:] {
		if !w.Hidden && !w.Dataset {
			f.Lineage.Bases = append(f.Lineage.Bases, w.Name)
		}
	}
}

// policedLicense sums the terms of all licences up.
func policedLicense(g *lineage.Graph, s *term.Statement) policy.License {
	l := policy.License{
		Openness: string(s.Openness), Commercial: string(s.Commercial.Answer), Modify: string(s.Modify.Answer), Redistribute: string(s.Redistribute.Answer),
		Territories: s.Territories,
	}
	terms, unknown := lineage.Terms(g)
	l.OSI = len(terms) > 0 && len(unknown) == 0
	for _, t := range terms {
		l.IDs = append(l.IDs, t.Fact.SPDX)
		l.OSI = l.OSI && t.Fact.Lists.OSI
		for _, x := range t.Fact.Restrictions() {
			if !slices.Contains(l.Restrictions, string(x.Kind)) {
				l.Restrictions = append(l.Restrictions, string(x.Kind))
			}
		}
	}
	return l
}

// policed is what policies are told of somebody who asks for a model. A token
// knows the role there and no more, so that for rules about members of
// organizations the others are looked up.
func (r *Registry) policed(ctx context.Context, p auth.Principal, n Name, rules []*policy.Policy) (policy.Principal, error) {
	if p.Limited && !p.Anonymous() && slices.ContainsFunc(rules, func(x *policy.Policy) bool { return x.Mentions("Organization") }) {
		known, err := r.store.PolicyPrincipal(ctx, p.Name)
		if err != nil {
			return policy.Principal{}, err
		}
		p.Roles = known.Roles
	}
	who := policy.Principal{Name: p.Name, Admin: p.Admin, Role: p.Roles.On(string(n)).String()}
	for scope, role := range p.Roles {
		if role > auth.NoRole && scope == auth.Organization(scope) {
			who.Organizations = append(who.Organizations, scope)
		}
	}
	slices.Sort(who.Organizations)
	return who, nil
}
