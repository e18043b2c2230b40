package hfapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// whoami answers who the token stands for, and the organizations in which
// they have a role.
func (h *Handler) whoami(c echo.Context) error {
	p := h.access.Principal(c)
	if p.Anonymous() {
		return registry.Errorf(registry.CodeUnauthorized, "nobody is signed in: the request has no token")
	}
	type organization struct {
		Type string `json:"type"`
		Name string `json:"name"`
		Role string `json:"roleInOrg"`
	}
	orgs := []organization{}
	for scope, role := range p.Roles {
		if auth.Organization(scope) == scope {
			orgs = append(orgs, organization{"org", scope, role.String()})
		}
	}
	slices.SortFunc(orgs, func(a, b organization) int { return strings.Compare(a.Name, b.Name) })
	role := "read"
	if mayWrite(p) {
		role = "write"
	}
	return c.JSON(http.StatusOK, map[string]any{
		"type": "user", "id": strconv.FormatInt(p.UserID, 10), "name": p.Name, "fullname": p.Name, "emailVerified": false, "canPay": false, "isPro": false, "orgs": orgs,
		"auth": map[string]any{"type": "access_token", "accessToken": map[string]string{"displayName": "token", "role": role}},
	})
}

// mayWrite reports whether the credential permits to push anywhere.
func mayWrite(p auth.Principal) bool {
	return !p.Limited || slices.ContainsFunc(p.Scopes, func(s auth.Scope) bool {
		return s.Type == auth.TypeRepository && (slices.Contains(s.Actions, string(auth.Push)) || slices.Contains(s.Actions, "*"))
	})
}

// authCheck answers whether the caller may download a model: whether they may
// see it, have accepted its terms, and no gate holds it back.
func (h *Handler) authCheck(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	if _, err := h.reg.Manifest(c.Request().Context(), f.grant, registry.Reference{Digest: f.listing.Digest}); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]bool{"ok": true})
}
