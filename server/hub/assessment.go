package hub

import (
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// assessmentHistory answers what was found of a version, as everybody may see it.
func (h *Handler) assessmentHistory(c echo.Context) error {
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	list, err := h.assessments.Assessments(c.Request().Context(), g, v.Digest)
	if err != nil {
		return err
	}
	return answer(c, map[string][]registry.AssessmentSummary{"assessments": list})
}

// assessment answers in what way a version is open.
func (h *Handler) assessment(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	a, err := h.assessments.Assess(c.Request().Context(), h.access.Principal(c), &v)
	if err != nil {
		return err
	}
	return answer(c, a)
}

// ask answers whether a use is permitted.
func (h *Handler) ask(c echo.Context) error {
	q, err := term.ParseQuestion(c.QueryParams())
	if err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, err.Error())
	}
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	a, err := h.assessments.Ask(c.Request().Context(), h.access.Principal(c), &v, q)
	if err != nil {
		return err
	}
	return answer(c, a)
}

// catalogue is the answer of GET /api/v1/licenses.
type catalogue struct {
	Licenses []*licenses.Fact `json:"licenses"`
}

// licenses answers the whole catalogue.
func (h *Handler) licenses(c echo.Context) error { return answer(c, catalogue{licenses.All()}) }

// license answers what is known of one licence, all its texts, the newest first.
func (h *Handler) license(c echo.Context) error {
	list := licenses.Versions(c.Param("id"))
	if len(list) == 0 {
		return registry.Errorf(server.CodeNotFound, "nothing is known of a licence by that id")
	}
	return answer(c, catalogue{list})
}
