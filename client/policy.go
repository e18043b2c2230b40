package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/carat-hub/carat/registry"
)

// Policy is a policy as the hub tells it, with those before it.
type Policy struct {
	registry.PolicyText
	History []registry.PolicyText `json:"history"` // that in force first
}

func policyPath(scope registry.Name) string {
	if scope == "" {
		return "/api/v1/policy"
	}
	return "/api/v1/orgs/" + string(scope) + "/policy"
}

func scopeName(scope registry.Name) string {
	if scope == "" {
		return "the hub"
	}
	return string(scope)
}

// Policy returns the policy of an organization, or of the hub when scope is
// "". Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Policy(ctx context.Context, scope registry.Name) (*Policy, error) {
	var p Policy
	if err := h.change(ctx, http.MethodGet, policyPath(scope), nil, &p); err != nil {
		return nil, fmt.Errorf("fetch the policy of %s: %w", scopeName(scope), err)
	}
	return &p, nil
}

// SetPolicy puts a policy in force; a text of "" takes it away. Errors:
// ErrNoCredentials, registry.CodePolicyInvalid, *ResponseError.
func (h *Hub) SetPolicy(ctx context.Context, scope registry.Name, text string) error {
	if err := h.change(ctx, http.MethodPut, policyPath(scope), map[string]string{"text": text}, nil); err != nil {
		return fmt.Errorf("set the policy of %s: %w", scopeName(scope), err)
	}
	return nil
}

// TestPolicy tells of all models what a policy would change. Errors:
// ErrNoCredentials, registry.CodePolicyInvalid, *ResponseError.
func (h *Hub) TestPolicy(ctx context.Context, t registry.PolicyTest) (*registry.PolicyTestResult, error) {
	all := registry.PolicyTestResult{Broken: []registry.PolicyBreak{}, Mended: []registry.Name{}}
	for {
		var some registry.PolicyTestResult
		if err := h.change(ctx, http.MethodPost, "/api/v1/policy-tests", t, &some); err != nil {
			return nil, fmt.Errorf("test a policy of %s: %w", scopeName(t.Scope), err)
		}
		all.Models += some.Models
		all.Broken, all.Mended = append(all.Broken, some.Broken...), append(all.Mended, some.Mended...)
		if some.Next == "" || some.Next <= t.After {
			return &all, nil
		}
		t.After = some.Next
	}
}

// PolicyDecision tells what the policies of a hub say to one's pull of a
// version, or to the push of it by who pushed it. Errors: those of Assessment.
func (h *Hub) PolicyDecision(ctx context.Context, n registry.Name, ref registry.Reference, push bool) (*registry.PolicyDecision, error) {
	q := url.Values{"action": {"pull"}}
	if push {
		q.Set("action", "push")
	}
	var d registry.PolicyDecision
	if err := h.get(ctx, n, ref, "/policy", q, &d); err != nil {
		return nil, fmt.Errorf("fetch what policies say of %s: %w", displayVersion(n, ref), err)
	}
	return &d, nil
}
