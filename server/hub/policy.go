package hub

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Policies are the rules of organizations and of the hub about pulls and pushes.
type Policies interface {
	// SetPolicy puts a policy in force; maintainers may. Errors: registry.CodePolicyInvalid.
	SetPolicy(ctx context.Context, p auth.Principal, scope registry.Name, text string) error
	// PolicyHistory returns the texts of a scope, that in force first; maintainers may.
	PolicyHistory(ctx context.Context, p auth.Principal, scope registry.Name) ([]registry.PolicyText, error)
	// PolicyDecision tells what the policies in force say to a pull or push.
	PolicyDecision(ctx context.Context, g auth.Grant, d registry.Digest, push bool) (registry.PolicyDecision, error)
	// TestPolicy tells what a policy would change; maintainers may.
	TestPolicy(ctx context.Context, p auth.Principal, t registry.PolicyTest) (*registry.PolicyTestResult, error)
}

var _ Policies = (*registry.Registry)(nil)

func (h *Handler) registerPolicies(e *echo.Echo) {
	e.GET("/api/v1/policy", h.policy)
	e.PUT("/api/v1/policy", h.setPolicy)
	e.GET("/api/v1/orgs/:org/policy", h.policy)
	e.PUT("/api/v1/orgs/:org/policy", h.setPolicy)
	e.POST("/api/v1/policy-tests", h.testPolicy)
	e.GET("/api/v1/models/:org/:name/versions/:reference/policy", h.policyDecision)
}

// policyAnswer is a policy with those before it.
type policyAnswer struct {
	registry.PolicyText
	History []registry.PolicyText `json:"history"` // that in force first
}

func (h *Handler) policy(c echo.Context) error {
	scope := registry.Name(c.Param("org"))
	history, err := h.policies.PolicyHistory(c.Request().Context(), h.access.Principal(c), scope)
	if err != nil {
		return err
	}
	a := policyAnswer{PolicyText: registry.PolicyText{Scope: scope}, History: history}
	if len(history) == 0 {
		a.History = []registry.PolicyText{}
	} else {
		a.PolicyText = history[0]
	}
	return answer(c, a)
}

// policyPut is the body of PUT of a policy.
type policyPut struct {
	Text string `json:"text"`
}

func (h *Handler) setPolicy(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Oversee(p, auth.Maintain, c.Param("org")); err != nil { // before the body is read
		return err
	}
	var body policyPut
	if err := decodeUpTo(c, &body, maxPolicyBody); err != nil {
		return err
	}
	if err := h.policies.SetPolicy(c.Request().Context(), p, registry.Name(c.Param("org")), body.Text); err != nil {
		return err
	}
	return h.policy(c)
}

// maxPolicyBody is how many bytes the JSON of a policy may have: each of its
// own may take six.
const maxPolicyBody = 512 << 10

func (h *Handler) testPolicy(c echo.Context) error {
	p := h.access.Principal(c)
	if p.Anonymous() { // before the body is read
		return auth.ErrUnauthenticated
	}
	var t registry.PolicyTest
	if err := decodeUpTo(c, &t, maxPolicyBody); err != nil {
		return err
	}
	result, err := h.policies.TestPolicy(c.Request().Context(), p, t)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, result)
}

func (h *Handler) policyDecision(c echo.Context) error {
	action := c.QueryParam("action")
	if action == "" {
		action = string(auth.Pull)
	}
	if action != string(auth.Pull) && action != string(auth.Push) {
		return registry.Errorf(server.CodeRequestInvalid, "action must be %q or %q", auth.Pull, auth.Push)
	}
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	d, err := h.policies.PolicyDecision(c.Request().Context(), g, v.Digest, action == string(auth.Push))
	if err != nil {
		return err
	}
	return answer(c, d)
}
