package hub

import (
	"errors"
	"mime"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/export"
	"github.com/carat-hub/carat/server"
)

// export answers what is known of a version in a format of others, as a file
// to keep.
func (h *Handler) export(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	a, err := h.assessments.Ancestry(c.Request().Context(), h.access.Principal(c), &v)
	if err != nil {
		return err
	}
	d, err := export.Write(a, export.Format(c.Param("format")))
	switch {
	case errors.Is(err, export.ErrFormat):
		return registry.Errorf(server.CodeNotFound, "there is no such format; there are %s", formats())
	case errors.Is(err, export.ErrNotInspected) && v.FactsError != "":
		return registry.Errorf(server.CodeNotFound, "nothing is known of the version: its files could not be inspected")
	case errors.Is(err, export.ErrNotInspected):
		return registry.Errorf(registry.CodeUnavailable, "the files of the version are still being inspected")
	case err != nil:
		return err
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
	return send(c, d.MediaType, d.Body)
}

func formats() string {
	var names []string
	for _, k := range export.Kinds() {
		names = append(names, string(k.Format))
	}
	return strings.Join(names, ", ")
}
