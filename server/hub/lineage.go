package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Lineages are what organizations do with versions that contradict the terms
// of what they were made from, and the waivers of findings.
type Lineages interface {
	// OrgLineageGate returns an organization's gate, and whether it is its own.
	OrgLineageGate(ctx context.Context, org registry.Name) (g registry.Gate, own bool, err error)
	// SetOrgLineageGate changes it; only administrators may.
	SetOrgLineageGate(ctx context.Context, p auth.Principal, org registry.Name, g registry.Gate) error
	// Waive lets a finding of a version be; only administrators may.
	Waive(ctx context.Context, p auth.Principal, v *registry.Version, finding, reason string, expires time.Time) (*lineage.Waiver, error)
	// Unwaive takes a waiver away; only administrators may.
	Unwaive(ctx context.Context, p auth.Principal, v *registry.Version, finding string) error
}

var _ Lineages = (*registry.Registry)(nil)

func (h *Handler) lineageGate(c echo.Context) error {
	org := registry.Name(c.Param("org"))
	g, own, err := h.lineages.OrgLineageGate(c.Request().Context(), org)
	if err != nil {
		return err
	}
	return answer(c, orgGate{org, g, own})
}

func (h *Handler) setLineageGate(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Administer(p); err != nil { // before the body is read
		return err
	}
	var body gatePut
	if err := decode(c, &body); err != nil {
		return err
	}
	g, err := body.gate()
	if err != nil {
		return err
	}
	if err := h.lineages.SetOrgLineageGate(c.Request().Context(), p, registry.Name(c.Param("org")), g); err != nil {
		return err
	}
	return h.lineageGate(c)
}

// waiverPost is the body of POST …/waivers.
type waiverPost struct {
	Finding string    `json:"finding"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
}

func (h *Handler) waive(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Administer(p); err != nil {
		return err
	}
	var body waiverPost
	if err := decode(c, &body); err != nil {
		return err
	}
	v, err := h.find(c, auth.Pull)
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
	p := h.access.Principal(c)
	if err := auth.Administer(p); err != nil {
		return err
	}
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	if err := h.lineages.Unwaive(c.Request().Context(), p, &v, c.Param("finding")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// gate reads the gate of a body. Errors: server.CodeRequestInvalid.
func (b gatePut) gate() (registry.Gate, error) {
	g := registry.Gate(b.Gate)
	switch {
	case b.Gate == hubGate:
		return "", nil
	case !g.Valid():
		return "", registry.Errorf(server.CodeRequestInvalid, "gate must be %q, %q, %q or %q", registry.GateOff, registry.GateWarn, registry.GateBlock, hubGate)
	}
	return g, nil
}
