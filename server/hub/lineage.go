package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// Lineages are what organizations do with versions that contradict the terms
// of what they were made from, and the waivers of findings.
type Lineages interface {
	// OrgLineageGate returns an organization's gate, and whether it is its own.
	OrgLineageGate(ctx context.Context, org registry.Name) (g registry.Gate, own bool, err error)
	// SetOrgLineageGate changes it; maintainers may.
	SetOrgLineageGate(ctx context.Context, p auth.Principal, org registry.Name, g registry.Gate) error
	// Waive lets a finding of a version be; maintainers may.
	Waive(ctx context.Context, p auth.Principal, v *registry.Version, finding, reason string, expires time.Time) (*lineage.Waiver, error)
	// Unwaive takes a waiver away; maintainers may.
	Unwaive(ctx context.Context, p auth.Principal, v *registry.Version, finding string) error
}

var _ Lineages = (*registry.Registry)(nil)

// waiverPost is the body of POST …/waivers.
type waiverPost struct {
	Finding string    `json:"finding"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
}

// decided returns who decides about a version, if they may, and the version. It
// reads what they say into body, when there is one.
func (h *Handler) decided(c echo.Context, may func(auth.Principal, registry.Name) error, body any) (auth.Principal, registry.Version, error) {
	p := h.access.Principal(c)
	err := may(p, scope(c))
	if err == nil && body != nil {
		err = decode(c, body)
	}
	if err != nil {
		return p, registry.Version{}, err
	}
	v, err := h.find(c, auth.Pull)
	return p, v, err
}

// maintains is for what the maintainers of a model may do.
func maintains(p auth.Principal, n registry.Name) error {
	return auth.Oversee(p, auth.Maintain, string(n))
}

// administers is for what administrators alone may do.
func administers(p auth.Principal, _ registry.Name) error { return auth.Administer(p) }

func (h *Handler) waive(c echo.Context) error {
	var body waiverPost
	p, v, err := h.decided(c, maintains, &body)
	if err != nil {
		return err
	}
	w, err := h.lineages.Waive(c.Request().Context(), p, &v, body.Finding, body.Reason, body.Expires)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, w)
}

func (h *Handler) unwaive(c echo.Context) error {
	p, v, err := h.decided(c, maintains, nil)
	if err != nil {
		return err
	}
	if err := h.lineages.Unwaive(c.Request().Context(), p, &v, c.Param("finding")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
