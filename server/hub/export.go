package hub

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/bom"
	"github.com/carat-hub/carat/server"
)

// export answers what is known of a version in one of the forms that others read.
func (h *Handler) export(c echo.Context) error {
	f, ok := bom.Lookup(c.Param("format"))
	if !ok {
		var ids []string
		for _, x := range bom.Formats() {
			ids = append(ids, x.ID)
		}
		return registry.Errorf(server.CodeNotFound, "the formats are %s", strings.Join(ids, ", "))
	}
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	a, err := h.assessments.Ancestry(ctx, h.access.Principal(c), &v)
	if err != nil {
		return err
	}
	p, err := f.Write(bom.New(a, bom.Options{URL: server.BaseURL(ctx), Version: h.program}, time.Now()))
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+f.File+`"`)
	return c.Blob(http.StatusOK, f.MediaType, p)
}
