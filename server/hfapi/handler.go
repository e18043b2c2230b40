package hfapi

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/content"
)

// Options are what a Handler is made of.
type Options struct {
	Registry    *registry.Registry // required
	RedirectFor time.Duration      // see content.New
}

// Handler serves the API.
type Handler struct {
	reg     *registry.Registry
	access  server.Access
	content *content.Server
}

// New returns a handler.
func New(o Options) *Handler {
	return &Handler{reg: o.Registry, access: server.NewAccess(o.Registry), content: content.New(o.Registry, o.RedirectFor)}
}

// Register adds the routes.
func (h *Handler) Register(e *echo.Echo) {
	get := func(path string, f echo.HandlerFunc) {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, f)
	}
	const model = "/api/models/:org/:name"
	get("/api/whoami-v2", h.whoami)
	get("/api/models", h.list)
	get(model, h.info)
	get(model+"/revision/:rev", h.info)
	get(model+"/auth-check", h.authCheck)
	get(model+"/refs", h.refs)
	get(model+"/commits/:rev", h.commits)
	get(model+"/tree/:rev", h.tree)
	get(model+"/tree/:rev/*", h.tree)
	e.POST(model+"/paths-info/:rev", h.pathsInfo)
	get("/:org/:name/resolve/:rev/*", h.resolve)
	get("/:org/:name/raw/:rev/*", h.resolve) // here no file is kept as a pointer to it
	for _, path := range []string{"/api/repos/create", model + "/preupload/:rev", model + "/commit/:rev"} {
		e.POST(path, pushElsewhere)
	}
}

// pushElsewhere answers uploads, which this API does not take.
func pushElsewhere(echo.Context) error {
	return registry.Errorf(registry.CodeUnsupported, "models are pushed to this hub by carat push, or by any client of OCI registries")
}

// param returns a part of the path with its slashes.
func param(c echo.Context, name string) string { return server.Unslash(c.Param(name)) }

// flag reports whether a parameter of the query or a form says yes, in the
// ways in which the clients' languages write it.
func flag(s string) bool { return s == "true" || s == "1" || s == "True" }

// timestamp is a time as Hugging Face writes it.
type timestamp time.Time

// MarshalText implements encoding.TextMarshaler.
func (t timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}
