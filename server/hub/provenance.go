package hub

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/verify"
)

// provenance answers what is signed of a version.
func (h *Handler) provenance(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	g, err := h.access.Authorize(c, v.Name, auth.Pull)
	if err != nil {
		return err
	}
	p, err := h.origins.Provenance(c.Request().Context(), g, &v)
	if err != nil {
		return err
	}
	return answer(c, p)
}

// sourcePost is the body of POST …/provenance.
type sourcePost struct {
	Source verify.Upstream `json:"source"`
}

// recorded is its answer.
type recorded struct {
	Referrer registry.Digest `json:"referrer"` // manifest of the signed statement
}

// declareSource signs that the caller says from where a version comes.
func (h *Handler) declareSource(c echo.Context) error {
	v, err := h.find(c, auth.Push)
	if err != nil {
		return err
	}
	var body sourcePost
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := body.Source.Check(); err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, err.Error())
	}
	d, err := h.imports.Import(c.Request().Context(), &v, h.access.Principal(c).Name, body.Source)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, recorded{d})
}
