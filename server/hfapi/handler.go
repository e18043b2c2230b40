package hfapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/content"
	"github.com/carat-hub/carat/web"
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
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h.explain(f))
	}
	get("/api/whoami-v2", h.whoami)
	get("/api/models", h.list)
	get("/api/models/:org/:name", h.info)
	get("/api/models/:org/:name/revision/:rev", h.info)
	get("/api/models/:org/:name/refs", h.refs)
	get("/api/models/:org/:name/tree/:rev", h.tree)
	get("/api/models/:org/:name/tree/:rev/*", h.tree)
	e.POST("/api/models/:org/:name/paths-info/:rev", h.explain(h.pathsInfo))
	get("/:org/:name/resolve/:rev/*", h.resolve)
}

// Codes that the clients know, in the header X-Error-Code.
const (
	codeRepo     = "RepoNotFound"
	codeRevision = "RevisionNotFound"
	codeEntry    = "EntryNotFound"
	codeGated    = "GatedRepo"
)

// Headers of the API.
const (
	headerErrorCode    = "X-Error-Code"
	headerErrorMessage = "X-Error-Message"
	headerCommit       = "X-Repo-Commit"
	headerLinkedETag   = "X-Linked-Etag"
	headerLinkedSize   = "X-Linked-Size"
)

// errEntry says that a version has no file of a name.
var errEntry = errors.New("no such file in this version")

// explain writes errors as the clients read them.
func (h *Handler) explain(f echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := f(c)
		if err == nil {
			return nil
		}
		status, code, message := h.problem(c, err)
		if status == 0 {
			return err
		}
		header := c.Response().Header()
		for _, name := range []string{"ETag", "Accept-Ranges", headerLinkedETag, headerLinkedSize} {
			header.Del(name)
		}
		header.Set("Cache-Control", "no-store")
		if code != "" {
			header.Set(headerErrorCode, code)
		}
		header.Set(headerErrorMessage, message)
		return c.JSON(status, map[string]string{"error": message})
	}
}

// problem is what a client is told of an error; a status of 0 leaves it to the server.
func (h *Handler) problem(c echo.Context, err error) (status int, code, message string) {
	var consent *registry.ConsentError
	var gate *registry.GateError
	var lineage *registry.LineageError
	denied := http.StatusForbidden
	if errors.Is(err, auth.ErrUnauthenticated) {
		denied = http.StatusUnauthorized
	}
	switch {
	case errors.As(err, &consent):
		return denied, codeGated, consent.Error() + "; see " + h.access.BaseURL(c) + web.TermsURL(consent.Name, consent.Digest)
	case errors.As(err, &gate):
		// A client reads a plain 401 as a model that is not there.
		return http.StatusForbidden, "", gate.Error() + "; see " + h.access.BaseURL(c) + web.VerificationURL(gate.Name, gate.Digest)
	case errors.As(err, &lineage):
		return http.StatusForbidden, "", lineage.Error() + "; see " + h.access.BaseURL(c) + web.LicenseURL(lineage.Name, lineage.Digest)
	case errors.Is(err, errEntry):
		return http.StatusNotFound, codeEntry, errEntry.Error()
	case registry.IsCode(err, registry.CodeManifestUnknown):
		return http.StatusNotFound, codeRevision, "there is no such version of this model"
	case registry.IsCode(err, registry.CodeNameUnknown), registry.IsCode(err, registry.CodeNameInvalid), errors.Is(err, auth.ErrDenied):
		return http.StatusNotFound, codeRepo, "there is no such model, or not for you"
	case errors.Is(err, auth.ErrUnauthenticated):
		return http.StatusUnauthorized, codeRepo, "there is no such model, or not for you; a token may help (HF_TOKEN)"
	}
	return 0, "", ""
}

// found is a version that somebody may know of.
type found struct {
	grant      auth.Grant
	visibility auth.Visibility
	version    registry.Version
	commit     string
}

// find authorizes a pull and finds the version of a revision, "" for main.
func (h *Handler) find(c echo.Context, rev string) (*found, error) {
	n, err := registry.ParseName(c.Param("org") + "/" + c.Param("name"))
	if err != nil {
		return nil, err
	}
	g, err := h.access.Authorize(c, n, auth.Pull)
	if err != nil {
		return nil, err
	}
	ctx := c.Request().Context()
	visibility, exists, err := h.reg.Visibility(ctx, n)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, registry.Errorf(registry.CodeNameUnknown, "there is no model %s", n)
	}
	v, err := h.revision(ctx, g, rev)
	if err != nil {
		return nil, err
	}
	f := &found{grant: g, visibility: visibility, version: v, commit: commitOf(v.Digest)}
	c.Response().Header().Set(headerCommit, f.commit)
	return f, nil
}

// commitOf is the commit that stands for a version.
func commitOf(d registry.Digest) string { return d.Hex()[:40] }

// defaultRevision is the branch that clients ask for when nobody says another.
const defaultRevision = "main"

// revision finds a version. Errors: registry.CodeManifestUnknown.
func (h *Handler) revision(ctx context.Context, g auth.Grant, rev string) (registry.Version, error) {
	if rev == "" {
		rev = defaultRevision
	}
	if isCommit(rev) {
		// A tag may look like a commit.
		if v, err := h.reg.VersionByPrefix(ctx, g, rev); !registry.IsCode(err, registry.CodeManifestUnknown) {
			return v, err
		}
	}
	ref, err := registry.ParseReference(rev)
	if err != nil {
		return registry.Version{}, registry.Wrap(err, registry.CodeManifestUnknown, "there is no such version")
	}
	v, err := h.reg.Version(ctx, g, ref)
	if rev != defaultRevision || !registry.IsCode(err, registry.CodeManifestUnknown) {
		return v, err
	}
	if v, err = h.reg.Version(ctx, g, registry.Reference{Tag: "latest"}); !registry.IsCode(err, registry.CodeManifestUnknown) {
		return v, err
	}
	list, lerr := h.reg.Versions(ctx, g)
	if lerr != nil || len(list) == 0 {
		return v, errors.Join(err, lerr)
	}
	return list[0], nil
}

func isCommit(rev string) bool {
	if len(rev) != 40 {
		return false
	}
	for _, c := range []byte(rev) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
