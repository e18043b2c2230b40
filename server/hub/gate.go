package hub

import (
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// orgGate is the answer of /api/v1/orgs/{org}/verification-gate.
type orgGate struct {
	Org  registry.Name `json:"org"`
	Gate registry.Gate `json:"gate"`
	Own  bool          `json:"own"` // it is the organization's, not the hub's
}

// gatePut is the body of PUT /api/v1/orgs/{org}/verification-gate.
type gatePut struct {
	Gate string `json:"gate"`
}

// hubGate, as a gate, takes an organization's own away.
const hubGate = "default"

// gate answers the gate of an organization. It is no secret: pulls tell it too.
func (h *Handler) gate(c echo.Context) error {
	org := registry.Name(c.Param("org"))
	g, own, err := h.gates.OrgGate(c.Request().Context(), org)
	if err != nil {
		return err
	}
	return answer(c, orgGate{org, g, own})
}

// setGate changes the gate of an organization.
func (h *Handler) setGate(c echo.Context) error {
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
	if err := h.gates.SetOrgGate(c.Request().Context(), p, registry.Name(c.Param("org")), g); err != nil {
		return err
	}
	return h.gate(c)
}
