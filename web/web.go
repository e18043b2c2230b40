package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// Models is what the pages read of the registry.
type Models interface {
	// Visibility returns who may pull from a repository, and whether it exists.
	Visibility(ctx context.Context, n registry.Name) (auth.Visibility, bool, error)
	// Models lists the models that the principal may see, newest first, and how many match in all.
	Models(ctx context.Context, p auth.Principal, q registry.ModelQuery) ([]registry.ModelSummary, int, error)
	// Version returns one version. Errors: registry.CodeManifestUnknown.
	Version(ctx context.Context, g auth.Grant, r registry.Reference) (registry.Version, error)
	// Versions lists the versions of a model, newest first.
	Versions(ctx context.Context, g auth.Grant) ([]registry.Version, error)
	// Admission tells what becomes of pulls of a version.
	Admission(ctx context.Context, g auth.Grant, d registry.Digest) (registry.Admission, error)
	// TermsView returns the terms of a version, and whether they were accepted.
	TermsView(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.TermsView, error)
	// Accept accepts them.
	Accept(ctx context.Context, g auth.Grant, v *registry.Version, told registry.Answers) (*registry.Acceptance, error)
	// Assess computes in what way a version is open, as the principal may see it.
	Assess(ctx context.Context, p auth.Principal, v *registry.Version) (*registry.Assessment, error)
	// ReadLicense tells which licence the text in a version is; nil for no text.
	ReadLicense(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.Reading, error)
	// Assessments returns the stored assessments of a version, newest first.
	Assessments(ctx context.Context, g auth.Grant, d registry.Digest) ([]registry.AssessmentSummary, error)
	// Provenance reads what is signed of a version.
	Provenance(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.Provenance, error)
}

// Verifications is what the pages read of verifications.
type Verifications interface {
	// Verifications returns the history of a version, newest first.
	Verifications(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]verify.Verification, error)
}

var (
	_ Models        = (*registry.Registry)(nil)
	_ Verifications = verify.Store(nil)
)

// Options are what a Handler is made of.
type Options struct {
	Models        Models        // required
	Verifications Verifications // required
	Audit         AuditLog      // required
	Directory     Directory     // required
	SignIns       SignIns       // required

	// Session returns the session that a request is of, 0 for none. None when nil.
	Session func(echo.Context) int64

	// Principal returns who sent a request; nobody is signed in when nil.
	Principal func(echo.Context) auth.Principal
	// BaseURL returns where the client reached the hub, for the commands on
	// pages: scheme://host[:port]. From the request when nil.
	BaseURL func(echo.Context) string
	// Address returns the IP address from which a request came. Its own peer's when nil.
	Address func(echo.Context) string
	// Version of the hub, for the foot of pages.
	Version string
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
}

// Handler serves the pages.
type Handler struct {
	models        Models
	verifications Verifications
	audit         AuditLog
	signIns       SignIns
	session       func(echo.Context) int64
	directory     Directory
	principal     func(echo.Context) auth.Principal
	baseURL       func(echo.Context) string
	address       func(echo.Context) string
	version       string
	now           func() time.Time

	assets *assets
	pages  *pages
	cards  *cardCache
}

// New returns a handler. It fails when an option that is required is missing.
func New(o Options) (*Handler, error) {
	if o.Models == nil || o.Verifications == nil || o.Audit == nil || o.Directory == nil || o.SignIns == nil {
		return nil, errors.New("web: Models, Verifications, Audit, Directory and SignIns are required")
	}
	h := &Handler{
		models: o.Models, verifications: o.Verifications, audit: o.Audit, directory: o.Directory, signIns: o.SignIns, session: o.Session, principal: o.Principal, baseURL: o.BaseURL, address: o.Address,
		version: o.Version, now: o.Clock, cards: newCardCache(cachedCards),
	}
	if h.principal == nil {
		h.principal = func(echo.Context) auth.Principal { return auth.Principal{} }
	}
	if h.session == nil {
		h.session = func(echo.Context) int64 { return 0 }
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.baseURL == nil {
		h.baseURL = func(c echo.Context) string { return c.Scheme() + "://" + c.Request().Host }
	}
	if h.address == nil {
		h.address = func(c echo.Context) string { return echo.ExtractIPDirect()(c.Request()) }
	}
	var err error
	if h.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("web: assets: %w", err)
	}
	if h.pages, err = parsePages(h.assets); err != nil {
		return nil, fmt.Errorf("web: templates: %w", err)
	}
	return h, nil
}

// Register adds the routes. Static routes of other packages win over the
// pages' /{org}/{name}, and Reserved keeps the pages off their prefixes.
// Handlers return their errors, for the server to answer with ErrorPage.
func (h *Handler) Register(e *echo.Echo) {
	get := func(path string, page echo.HandlerFunc) {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, page)
	}
	get("/", h.home)
	get("/favicon.ico", h.favicon)
	get(sessionsPath, h.sessionsPage)
	e.POST(sessionsPath+"/:id/end", h.endSession)
	get(auditPath, h.auditLogPage)
	get(staticPrefix+":file", h.asset)
	get("/:org", h.orgPage)
	get("/:org/:name", h.cardPage)
	get("/:org/:name/files", h.filesPage)
	get("/:org/:name/tags", h.tagsPage)
	get("/:org/:name/license", h.licensePage)
	get("/:org/:name/verification", h.verificationPage)
	get("/:org/:name/terms", h.termsPage)
	e.POST("/:org/:name/terms", h.acceptTerms)
	get("/:org/:name/provenance", h.provenancePage)
}

// reserved are the first path segments that belong to other routes, now or later.
var reserved = []string{
	"-", "admin", "api", "assets", "auth", "docs", "favicon.ico", "healthz", "livez", "login", "logout", "metrics",
	"readyz", "robots.txt", "settings", "signup", "static", "token", "v1", "v2",
}

// Reserved reports whether no model of that organization has a page, because
// its first path segment belongs to other routes.
func Reserved(org string) bool { return slices.Contains(reserved, org) }

// contentSecurityPolicy allows this server's own files and nothing else. The
// script asks for the page again while a verification runs, hence connect-src.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure sets the headers that every answer of this package carries.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// modelName returns the model that the path names. Errors: CodeNameUnknown,
// because a path that can name no model leads nowhere.
func modelName(c echo.Context) (registry.Name, error) {
	org, model := c.Param("org"), c.Param("name")
	unknown := registry.Errorf(registry.CodeNameUnknown, "there is no page at this address")
	if Reserved(org) || strings.Contains(org, "/") || strings.Contains(model, "/") {
		return "", unknown
	}
	n, err := registry.ParseName(org + "/" + model)
	if err != nil {
		return "", unknown
	}
	return n, nil
}

// hasPage reports whether a name has the form of a model's page.
func hasPage(n registry.Name) bool {
	org, _, ok := n.Split()
	return ok && !Reserved(org)
}
