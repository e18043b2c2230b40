package hub

import (
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Limits of the model list.
const (
	defaultLimit = 20
	maxLimit     = 100
	maxOffset    = 10_000
	maxText      = 200 // bytes of one parameter
)

// modelList is the answer of GET /api/v1/models.
type modelList struct {
	Models []registry.ModelSummary `json:"models"`
	Total  int                     `json:"total"` // how many match in all
}

// model is the answer of GET /api/v1/models/{org}/{name}; PATCH leaves the
// versions out.
type model struct {
	Name       registry.Name      `json:"name"`
	Visibility auth.Visibility    `json:"visibility"`
	Versions   []registry.Version `json:"versions,omitzero"`
}

// modelPatch is the body of PATCH /api/v1/models/{org}/{name}.
type modelPatch struct {
	Visibility auth.Visibility `json:"visibility"`
}

func (h *Handler) list(c echo.Context) error {
	q, err := parseQuery(c.QueryParams())
	if err != nil {
		return err
	}
	models, total, err := h.models.Models(c.Request().Context(), h.access.Principal(c), q)
	if err != nil {
		return err
	}
	if models == nil {
		models = []registry.ModelSummary{}
	}
	return answer(c, modelList{Models: models, Total: total})
}

// parseQuery reads the list's parameters, each at most once and no others.
// Errors: registry.CodePageInvalid, server.CodeRequestInvalid.
func parseQuery(params url.Values) (registry.ModelQuery, error) {
	q := registry.ModelQuery{Limit: defaultLimit}
	for key, values := range params {
		if !slices.Contains([]string{"q", "architecture", "format", "license", "openness", "limit", "offset"}, key) {
			return q, registry.Errorf(server.CodeRequestInvalid, "unknown parameter %.40q", key)
		}
		if v := values[0]; len(values) > 1 || len(v) > maxText || !utf8.ValidString(v) {
			return q, registry.Errorf(server.CodeRequestInvalid, "parameter %s must be given once, as UTF-8 of at most %d bytes", key, maxText)
		}
	}
	q.Text, q.Architecture = params.Get("q"), params.Get("architecture")
	q.Format, q.License = params.Get("format"), params.Get("license")
	var err error
	if s := params.Get("openness"); s != "" {
		if q.Openness, err = strconv.Atoi(s); err != nil || q.Openness < 0 || q.Openness > int(openness.OpenSource) {
			return q, registry.Errorf(server.CodeRequestInvalid, "openness must be a level from 0 to %d", openness.OpenSource)
		}
	}
	if s := params.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxLimit {
			return q, registry.Errorf(registry.CodePageInvalid, "limit must be a number from 1 to %d", maxLimit)
		}
	}
	if s := params.Get("offset"); s != "" {
		if q.Offset, err = strconv.Atoi(s); err != nil || q.Offset < 0 || q.Offset > maxOffset {
			return q, registry.Errorf(registry.CodePageInvalid, "offset must be a number from 0 to %d", maxOffset)
		}
	}
	return q, nil
}

func (h *Handler) model(c echo.Context) error {
	n, err := name(c)
	if err != nil {
		return err
	}
	g, err := h.access.Authorize(c, n, auth.Pull)
	if err != nil {
		return err
	}
	v, exists, err := h.models.Visibility(c.Request().Context(), n)
	if err != nil {
		return err
	}
	if !exists {
		return registry.Errorf(registry.CodeNameUnknown, "there is no model %s", n)
	}
	versions, err := h.models.Versions(c.Request().Context(), g)
	if err != nil {
		return err
	}
	if versions == nil {
		versions = []registry.Version{}
	}
	return answer(c, model{Name: n, Visibility: v, Versions: versions})
}

// patchModel changes the visibility.
func (h *Handler) patchModel(c echo.Context) error {
	n, err := name(c)
	if err != nil {
		return err
	}
	g, err := h.access.Authorize(c, n, auth.Maintain)
	if err != nil {
		return err
	}
	var p modelPatch
	if err := decode(c, &p); err != nil {
		return err
	}
	if !p.Visibility.Valid() {
		return registry.Errorf(server.CodeRequestInvalid, "visibility must be %q, %q or %q", auth.Public, auth.Internal, auth.Private)
	}
	if err := h.models.SetVisibility(c.Request().Context(), g, p.Visibility); err != nil {
		return err
	}
	return answer(c, model{Name: n, Visibility: p.Visibility})
}
