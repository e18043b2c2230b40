package hub

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

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
	q, err := question(c.QueryParams())
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

// question reads the parameters of a question. Those that are not given are not known.
func question(values url.Values) (q term.Question, err error) {
	yes := func(name string) bool {
		var b bool
		if s := values.Get(name); s != "" && err == nil {
			if b, err = strconv.ParseBool(s); err != nil {
				err = registry.Errorf(server.CodeRequestInvalid, "%s is true or false", name)
			}
		}
		return b
	}
	number := func(name string) *int64 {
		s := values.Get(name)
		if s == "" || err != nil {
			return nil
		}
		f, bad := strconv.ParseFloat(s, 64)
		if bad != nil || f < 0 || f > 1e15 {
			err = registry.Errorf(server.CodeRequestInvalid, "%s is a number from 0 to 1e15", name)
			return nil
		}
		return new(int64(f))
	}
	if values.Has("commercial") {
		q.Commercial = new(yes("commercial"))
	}
	q.MonthlyUsers, q.AnnualRevenue = number("monthlyUsers"), number("annualRevenue")
	q.Currency, q.Country, q.Purpose = strings.ToUpper(values.Get("currency")), strings.ToUpper(values.Get("country")), values.Get("purpose")
	q.Derive, q.Redistribute, q.Host, q.TrainOnOutputs = yes("derive"), yes("redistribute"), yes("host"), yes("trainOnOutputs")
	return q, err
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
