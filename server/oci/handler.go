package oci

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/content"
)

// Headers of the distribution specification.
const (
	headerDigest         = "Docker-Content-Digest"
	headerUploadID       = "Docker-Upload-UUID"
	headerAPIVersion     = "Docker-Distribution-Api-Version"
	headerSubject        = "OCI-Subject"
	headerTag            = "OCI-Tag"
	headerFiltersApplied = "OCI-Filters-Applied"
	headerChunkMin       = "OCI-Chunk-Min-Length"
)

// chunkMin is what OCI-Chunk-Min-Length announces, in bytes. Smaller chunks
// are taken too; they only cost a round trip and a sync each.
const chunkMin = 64 << 10

// Access tells who may do what.
type Access interface {
	// Authorize returns the grant for an action on a repository, or the error
	// to answer with.
	Authorize(c echo.Context, n registry.Name, a auth.Action) (auth.Grant, error)
	// Pull is Authorize for pulling from a repository about which the registry
	// tells while it reads what is pulled.
	Pull(c echo.Context, n registry.Name) registry.Decide
	// Principal returns who sent the request.
	Principal(c echo.Context) auth.Principal
	// BaseURL returns where the client reached the hub: scheme://host[:port].
	BaseURL(c echo.Context) string
}

var _ Access = server.Access{}

// Options are what a Handler is made of.
type Options struct {
	Registry *registry.Registry // required
	Access   Access             // by what Registry knows of repositories when nil

	// RedirectFor is how long the URLs hold to which blob GETs are redirected
	// where the storage has URLs; zero serves every blob through this server.
	RedirectFor time.Duration
}

// Handler serves /v2/.
type Handler struct {
	reg     *registry.Registry
	access  Access
	content *content.Server
}

// New returns a handler.
func New(o Options) *Handler {
	if o.Access == nil {
		o.Access = server.NewAccess(o.Registry)
	}
	return &Handler{reg: o.Registry, access: o.Access, content: content.New(o.Registry, o.RedirectFor)}
}

// Register adds the routes. Repository names have slashes, so everything
// below /v2/ is one route; parsePath takes it apart.
func (h *Handler) Register(e *echo.Echo) {
	for _, p := range []string{"/v2", "/v2/", "/v2/*"} {
		e.Any(p, h.serve)
	}
}

func (h *Handler) serve(c echo.Context) error {
	c.Response().Header().Set(headerAPIVersion, "registry/2.0")
	r, err := parsePath(c.Request().URL.EscapedPath())
	if err != nil {
		return err
	}
	server.SetRoute(c.Request().Context(), r.resource.pattern())
	handler := h.methods(r)[c.Request().Method]
	if handler == nil {
		c.Response().Header().Set(echo.HeaderAllow, allowed(h.methods(r)))
		return registry.Errorf(registry.CodeUnsupported, "%s is not supported here", c.Request().Method)
	}
	return handler(c, r)
}

type handlerFunc func(c echo.Context, r route) error

// methods is the routing table of the specification's section "Endpoints".
func (h *Handler) methods(r route) map[string]handlerFunc {
	switch r.resource {
	case resourceBase:
		return map[string]handlerFunc{http.MethodGet: h.base, http.MethodHead: h.base}
	case resourceCatalog:
		return map[string]handlerFunc{http.MethodGet: h.catalog}
	case resourceTags:
		return map[string]handlerFunc{http.MethodGet: h.tags}
	case resourceManifest:
		return map[string]handlerFunc{
			http.MethodGet: h.getManifest, http.MethodHead: h.getManifest,
			http.MethodPut: h.putManifest, http.MethodDelete: h.deleteManifest,
		}
	case resourceReferrers:
		return map[string]handlerFunc{http.MethodGet: h.referrers}
	case resourceBlob:
		return map[string]handlerFunc{
			http.MethodGet: h.getBlob, http.MethodHead: h.headBlob, http.MethodDelete: h.deleteBlob,
		}
	case resourceUploads:
		return map[string]handlerFunc{http.MethodPost: h.startUpload}
	case resourceUpload:
		return map[string]handlerFunc{
			http.MethodGet: h.getUpload, http.MethodPatch: h.patchUpload,
			http.MethodPut: h.putUpload, http.MethodDelete: h.cancelUpload,
		}
	}
	return nil
}

func allowed(methods map[string]handlerFunc) string {
	var names []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if methods[m] != nil {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

// base answers the API version check. Without credentials it challenges, so
// that clients learn where tokens are to be had.
func (h *Handler) base(c echo.Context, _ route) error {
	if p := h.access.Principal(c); p.Anonymous() && !p.Limited {
		return auth.ErrUnauthenticated
	}
	return c.JSONBlob(http.StatusOK, []byte("{}"))
}

// page is what ?n= and ?last= ask for.
type page struct {
	n    int // -1 when not given
	last string
}

// parsePage reads the list parameters. Numbers beyond what one answer may
// have are lowered; what is no number is an error with CodePageInvalid.
func parsePage(c echo.Context) (page, error) {
	p := page{n: -1, last: c.QueryParam("last")}
	if s := c.QueryParam("n"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return p, registry.Errorf(registry.CodePageInvalid, "n must be a number from 0 to %d", registry.MaxPage)
		}
		p.n = min(int(n), registry.MaxPage)
	}
	return p, nil
}

// setNext adds the Link header of the next page.
func setNext(c echo.Context, query string) {
	c.Response().Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", c.Request().URL.EscapedPath(), query))
}

// noBody answers with a status and nothing else.
func noBody(c echo.Context, status int) error {
	c.Response().Header().Set(echo.HeaderContentLength, "0")
	return c.NoContent(status)
}
