package hub

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// orgGate is the answer of /api/v1/orgs/{org}/verification-gate, and of lineage-gate.
type orgGate struct {
	Org  registry.Name `json:"org"`
	Gate registry.Gate `json:"gate"`
	Own  bool          `json:"own"` // it is the organization's, not the hub's
}

// gatePut is the body of PUT of the same.
type gatePut struct {
	Gate string `json:"gate"`
}

// hubGate, as a gate, takes an organization's own away.
const hubGate = "default"

// gate answers the gate of an organization. It is no secret: pulls tell it too.
func gate(get func(context.Context, registry.Name) (registry.Gate, bool, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		org := registry.Name(c.Param("org"))
		g, own, err := get(c.Request().Context(), org)
		if err != nil {
			return err
		}
		return answer(c, orgGate{org, g, own})
	}
}

// setGate changes the gate of an organization, and answers it.
func (h *Handler) setGate(set func(context.Context, auth.Principal, registry.Name, registry.Gate) error, get echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		p := h.access.Principal(c)
		if err := auth.Oversee(p, auth.Maintain, c.Param("org")); err != nil { // before the body is read
			return err
		}
		var body gatePut
		if err := decode(c, &body); err != nil {
			return err
		}
		g := registry.Gate(body.Gate)
		switch {
		case body.Gate == hubGate:
			g = ""
		case !g.Valid():
			return registry.Errorf(server.CodeRequestInvalid, "gate must be %q, %q, %q or %q", registry.GateOff, registry.GateWarn, registry.GateBlock, hubGate)
		}
		if err := set(c.Request().Context(), p, registry.Name(c.Param("org")), g); err != nil {
			return err
		}
		return get(c)
	}
}
