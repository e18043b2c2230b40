package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Limits of a policy.
const (
	MaxText  = 64 << 10 // bytes
	maxRules = 256
	maxDepth = 100 // nested brackets
)

// ErrPolicy says that a text is no policy that can be used.
var ErrPolicy = errors.New("not a usable policy")

// Policy is a list of rules. The zero value has none and permits everything.
type Policy struct {
	rules []rule
	text  string
}

type rule struct {
	id      string
	message string
	warns   bool
	set     *cedar.PolicySet // the rule alone, beside one that permits
}

// Parse reads rules in Cedar's own syntax. A rule that would permit, an
// annotation that is not known, and an attribute that no version has are
// refused. Errors: ErrPolicy.
func Parse(text string) (*Policy, error) {
	p, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return p, nil
}

func parse(text string) (*Policy, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("longer than %d bytes", MaxText)
	}
	if depth(text) > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	list, err := cedar.NewPolicyListFromBytes("policy", []byte(text))
	if err != nil {
		return nil, err
	}
	if len(list) > maxRules {
		return nil, fmt.Errorf("more than %d rules", maxRules)
	}
	p := &Policy{text: text}
	seen := make(map[string]bool)
	for i, parsed := range list {
		r, err := newRule(i, parsed)
		if err != nil {
			return nil, fmt.Errorf("rule %d in line %d: %w", i+1, parsed.Position().Line, err)
		}
		if seen[r.id] {
			return nil, fmt.Errorf("two rules are called %q", r.id)
		}
		seen[r.id] = true
		p.rules = append(p.rules, r)
	}
	return p, p.try()
}

// depth counts the deepest nesting of brackets, of those in strings and
// comments too: a bound on recursion needs no more.
func depth(text string) int {
	deepest, n := 0, 0
	for _, c := range []byte(text) {
		switch c {
		case '(', '[', '{':
			n++
			deepest = max(deepest, n)
		case ')', ']', '}':
			n = max(n-1, 0)
		}
	}
	return deepest
}

func newRule(i int, parsed *cedar.Policy) (rule, error) {
	r := rule{id: fmt.Sprintf("policy %d", i+1)}
	if parsed.Effect() != cedar.Forbid {
		return r, errors.New("a rule can only forbid: what access control allows and no rule forbids is permitted")
	}
	for key, v := range parsed.Annotations() {
		switch key {
		case "id":
			r.id = string(v)
		case "reason":
			r.message = string(v)
		case "advice":
			if v != "warn" {
				return r, fmt.Errorf("unknown advice %q; there is only warn", string(v))
			}
			r.warns = true
		default:
			return r, fmt.Errorf("unknown annotation @%s; there are @id, @reason and @advice", string(key))
		}
	}
	if r.message == "" {
		r.message = "forbidden by the rule " + r.id
	}
	r.set = cedar.NewPolicySet()
	r.set.Add("rule", parsed)
	r.set.Add("permit", permitAll())
	return r, nil
}

var permitAll = sync.OnceValue(func() *cedar.Policy {
	var p cedar.Policy
	if err := p.UnmarshalCedar([]byte("permit (principal, action, resource);")); err != nil {
		panic(err) // a constant
	}
	return &p
})

// try evaluates every rule where all facts are known. One that fails even
// there would refuse everything for ever.
func (p *Policy) try() error {
	for _, a := range []Action{Pull, Push} {
		q := encode(sample(a))
		for _, r := range p.rules {
			if _, d := cedar.Authorize(r.set, q.entities, q.request); len(d.Errors) > 0 {
				return fmt.Errorf("%s: %s", r.id, d.Errors[0].Message)
			}
		}
	}
	return nil
}

// Mentions reports whether the text of a rule has a word in it, so that what
// is dear to find out need not be found out for rules that do not ask.
func (p *Policy) Mentions(word string) bool { return strings.Contains(p.text, word) }

// Rules returns the names of the rules in their order.
func (p *Policy) Rules() []string {
	var list []string
	for _, r := range p.rules {
		list = append(list, r.id)
	}
	return list
}

// Decide answers a request by all policies; nil ones have no rules.
func Decide(q Request, policies ...*Policy) Decision {
	d := Decision{Allowed: true}
	var e encoded
	for _, p := range policies {
		if p == nil {
			continue
		}
		for _, r := range p.rules {
			if e.entities == nil {
				e = encode(q)
			}
			d.add(r, e, q.Action == Push && q.Version.Pending)
		}
	}
	slices.Sort(d.Missing)
	d.Missing = slices.Compact(d.Missing)
	return d
}

// add asks one rule. With early, one that asks for what is not read yet waits.
func (d *Decision) add(r rule, e encoded, early bool) {
	verdict, found := cedar.Authorize(r.set, e.entities, e.request)
	reason := Reason{r.id, r.message}
	for _, failure := range found.Errors {
		fact := missingFact(failure.Message)
		if early && strings.HasPrefix(fact, "resource.") {
			d.Deferred = append(d.Deferred, reason)
			return
		}
		if fact != "" {
			d.Missing = append(d.Missing, fact)
			reason.Message += " (unless " + fact + ", which is not known, says otherwise)"
		} else {
			reason.Message += " (the rule could not be evaluated: " + failure.Message + ")"
		}
		verdict = cedar.Deny
	}
	switch {
	case verdict == cedar.Allow:
	case r.warns:
		d.Warned = append(d.Warned, reason)
	default:
		d.Allowed = false
		d.Denied = append(d.Denied, reason)
	}
}

var attributeError = regexp.MustCompile("(?:^|[^a-z])(User|Version|record)\\b.* does not have the attribute `([a-zA-Z]+)`$")

// missingFact returns the fact that an evaluation error is about, "" when it is about none.
func missingFact(message string) string {
	m := attributeError.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	of := map[string]string{"User": "principal.", "Version": "resource."}[m[1]]
	return of + m[2]
}

// encoded is a request in Cedar's values.
type encoded struct {
	entities types.EntityMap
	request  cedar.Request
}
