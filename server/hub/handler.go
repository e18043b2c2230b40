package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

// Models is what the API needs of the registry.
type Models interface {
	// Visibility returns who may pull, and whether the repository exists.
	Visibility(ctx context.Context, n registry.Name) (v auth.Visibility, exists bool, err error)
	// SetVisibility changes who may pull. Errors: registry.CodeNameUnknown.
	SetVisibility(ctx context.Context, g auth.Grant, v auth.Visibility) error
	// Models lists the models that the principal may see.
	Models(ctx context.Context, p auth.Principal, q registry.ModelQuery) ([]registry.ModelSummary, int, error)
	// Version returns a model record. Errors: registry.CodeManifestUnknown.
	Version(ctx context.Context, g auth.Grant, ref registry.Reference) (registry.Version, error)
	// Versions lists a model's versions, newest first.
	Versions(ctx context.Context, g auth.Grant) ([]registry.Version, error)
}

// Verifications is what the API needs of the store of verifications.
type Verifications interface {
	// Verification returns a version's newest one. Errors: registry.CodeManifestUnknown.
	Verification(ctx context.Context, n registry.Name, d registry.Digest) (verify.Verification, error)
	// RequestVerification begins another one, unless one is unfinished. Errors: registry.CodeManifestUnknown.
	RequestVerification(ctx context.Context, n registry.Name, d registry.Digest) (verify.Verification, error)
	// Verifications lists a version's verifications, newest first.
	Verifications(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]verify.Verification, error)
}

// Keys are the hub's keys for reports.
type Keys interface {
	// Keys lists all that ever signed, newest first.
	Keys(ctx context.Context) ([]attestation.Key, error)
	// Rotate puts a fresh key into use. Errors: attestation.ErrForeignKey.
	Rotate(ctx context.Context) (attestation.Key, error)
}

// TokenKeys are the hub's keys for tokens.
type TokenKeys interface {
	// List returns those that verify, the newest first.
	List() []auth.KeyInfo
	// Rotate publishes a fresh one that signs a while later. Errors: auth.ErrRotating.
	Rotate(ctx context.Context) error
	// Drop signs with a fresh one and takes all others away.
	Drop(ctx context.Context) error
}

// Gates are the gates of organizations.
type Gates interface {
	// OrgGate returns an organization's gate, and whether it is its own.
	OrgGate(ctx context.Context, org registry.Name) (g registry.Gate, own bool, err error)
	// SetOrgGate changes it; maintainers may.
	SetOrgGate(ctx context.Context, p auth.Principal, org registry.Name, g registry.Gate) error
}

// Assessments tell in what way versions are open.
type Assessments interface {
	// Assess computes the assessment of a version as the principal may see it.
	Assess(ctx context.Context, p auth.Principal, v *registry.Version) (*registry.Assessment, error)
	// Assessments returns the stored assessments of a version, newest first.
	Assessments(ctx context.Context, g auth.Grant, d registry.Digest) ([]registry.AssessmentSummary, error)
	// Ancestry follows the declared bases of a version, as far as the principal may see them.
	Ancestry(ctx context.Context, p auth.Principal, v *registry.Version) (*registry.Ancestry, error)
	// Ask answers a question about the terms of a version.
	Ask(ctx context.Context, p auth.Principal, v *registry.Version, q term.Question) (*term.Answer, error)
}

// Origins tell what is signed of versions.
type Origins interface {
	// Provenance reads what is signed of a version. Errors: registry.CodeManifestUnknown.
	Provenance(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.Provenance, error)
}

// Imports sign from where versions are said to come.
type Imports interface {
	// Import signs what a user says, and returns the digest of the referrer.
	// Errors: registry.CodeManifestUnknown.
	Import(ctx context.Context, v *registry.Version, by string, s verify.Upstream) (registry.Digest, error)
}

// Access tells who asks and what they may do.
type Access interface {
	// Principal returns who sent the request.
	Principal(c echo.Context) auth.Principal
	// Address returns the IP address from which it came.
	Address(c echo.Context) string
	// Authorize returns the grant for an action on a repository, or the error
	// to answer with.
	Authorize(c echo.Context, n registry.Name, a auth.Action) (auth.Grant, error)
}

var (
	_ Models        = (*registry.Registry)(nil)
	_ Verifications = verify.Store(nil)
	_ Keys          = (*attestation.Signer)(nil)
	_ TokenKeys     = (*auth.Keys)(nil)
	_ Gates         = (*registry.Registry)(nil)
	_ Assessments   = (*registry.Registry)(nil)
	_ Origins       = (*registry.Registry)(nil)
	_ Imports       = (*verify.Recorder)(nil)
	_ Access        = server.Access{}
)

// Options are what a Handler is made of; all are required.
type Options struct {
	Models        Models
	Verifications Verifications
	Keys          Keys
	TokenKeys     TokenKeys
	Gates         Gates
	Assessments   Assessments
	Consents      Consents
	Lineages      Lineages
	Affirmations  Affirmations
	LicenseTexts  LicenseTexts
	Policies      Policies
	Users         Users
	SSHKeys       SSHKeys
	Directory     Directory
	Origins       Origins
	Imports       Imports
	Audit         AuditLog
	Access        Access
}

// Handler serves /api/v1/.
type Handler struct {
	models        Models
	verifications Verifications
	keys          Keys
	tokenKeys     TokenKeys
	gates         Gates
	assessments   Assessments
	consents      Consents
	lineages      Lineages
	affirmations  Affirmations
	licenseTexts  LicenseTexts
	policies      Policies
	users         Users
	sshKeys       SSHKeys
	directory     Directory
	origins       Origins
	imports       Imports
	audit         AuditLog
	access        Access
}

// New returns a handler.
func New(o Options) *Handler {
	return &Handler{
		models: o.Models, verifications: o.Verifications, keys: o.Keys, tokenKeys: o.TokenKeys, gates: o.Gates, assessments: o.Assessments,
		consents: o.Consents, lineages: o.Lineages, affirmations: o.Affirmations, licenseTexts: o.LicenseTexts, policies: o.Policies,
		users: o.Users, sshKeys: o.SSHKeys, directory: o.Directory,
		origins: o.Origins, imports: o.Imports, audit: o.Audit, access: o.Access,
	}
}

// Register adds the routes.
func (h *Handler) Register(e *echo.Echo) {
	g := e.Group("/api/v1/models")
	g.GET("", h.list)
	g.GET("/:org/:name", h.model)
	g.PATCH("/:org/:name", h.patchModel)
	g.GET("/:org/:name/versions/:reference", h.version)
	g.GET("/:org/:name/versions/:reference/assessment", h.assessment)
	g.GET("/:org/:name/versions/:reference/assessments", h.assessmentHistory)
	g.GET("/:org/:name/versions/:reference/ask", h.ask)
	g.GET("/:org/:name/versions/:reference/export/:format", h.export)
	g.GET("/:org/:name/versions/:reference/provenance", h.provenance)
	g.POST("/:org/:name/versions/:reference/provenance", h.declareSource)
	g.POST("/:org/:name/versions/:reference/waivers", h.waive)
	g.DELETE("/:org/:name/versions/:reference/waivers/:finding", h.unwaive)
	g.GET("/:org/:name/versions/:reference/affirmations", h.listAffirmations)
	g.POST("/:org/:name/versions/:reference/affirmations", h.affirm)
	g.DELETE("/:org/:name/versions/:reference/affirmations", h.disaffirm)
	g.GET("/:org/:name/versions/:reference/verification", h.verification)
	g.POST("/:org/:name/versions/:reference/verification", h.requestVerification)
	g.GET("/:org/:name/versions/:reference/verifications", h.history)
	e.GET("/api/v1/licenses", h.licenses)
	e.GET("/api/v1/licenses/:id", h.license)
	e.GET("/api/v1/users", h.listUsers)
	e.POST("/api/v1/users", h.createUser)
	e.PATCH("/api/v1/users/:user", h.changeUser)
	e.DELETE("/api/v1/users/:user", h.deleteUser)
	e.GET("/api/v1/users/:user/tokens", h.listUserTokens)
	e.DELETE("/api/v1/users/:user/tokens/:id", h.deleteUserToken)
	e.GET("/api/v1/tokens", h.listTokens)
	e.POST("/api/v1/tokens", h.createToken)
	e.DELETE("/api/v1/tokens/:id", h.deleteToken)
	e.DELETE("/api/v1/sign-ins", h.signOutEverywhere)
	e.GET("/api/v1/ssh-keys", h.listSSHKeys)
	e.POST("/api/v1/ssh-keys", h.addSSHKey)
	e.DELETE("/api/v1/ssh-keys/:id", h.deleteSSHKey)
	e.GET("/api/v1/openapi.json", h.openAPIDocument)
	h.registerOrgs(e)
	h.registerTerms(e)
	h.registerLicenseTexts(e)
	h.registerPolicies(e)
	e.GET("/api/v1/audit", h.auditEntries)
	e.GET("/api/v1/keys", h.listKeys)
	e.POST("/api/v1/keys", h.rotateKey)
	e.GET("/api/v1/token-keys", h.listTokenKeys)
	e.POST("/api/v1/token-keys", h.rotateTokenKey)
	lineages, verifications := gate(h.lineages.OrgLineageGate), gate(h.gates.OrgGate)
	e.GET("/api/v1/orgs/:org/lineage-gate", lineages)
	e.PUT("/api/v1/orgs/:org/lineage-gate", h.setGate(h.lineages.SetOrgLineageGate, lineages))
	e.GET("/api/v1/orgs/:org/verification-gate", verifications)
	e.PUT("/api/v1/orgs/:org/verification-gate", h.setGate(h.gates.SetOrgGate, verifications))
}

// name returns the model that the path names. Errors: registry.CodeNameInvalid.
func name(c echo.Context) (registry.Name, error) {
	n, err := registry.ParseName(c.Param("org") + "/" + c.Param("name"))
	if _, _, ok := n.Split(); err == nil && !ok {
		err = registry.Errorf(registry.CodeNameInvalid, "a model's name has two parts")
	}
	return n, err
}

// maxBody is how many bytes a JSON body may have.
const maxBody = 64 << 10

// decode reads a JSON object with known fields and nothing after it.
func decode(c echo.Context, into any) error { return decodeUpTo(c, into, maxBody) }

// decodeUpTo is decode for bodies of up to limit bytes.
func decodeUpTo(c echo.Context, into any, limit int64) error {
	r := c.Request()
	if t, _, _ := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); t != echo.MIMEApplicationJSON {
		return registry.Errorf(server.CodeRequestInvalid, "the body must be %s", echo.MIMEApplicationJSON)
	}
	d := json.NewDecoder(http.MaxBytesReader(c.Response().Writer, r.Body, limit))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return fmt.Errorf("read body: %w", err)
	}
	if err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, "the body is not the JSON object expected")
	}
	return nil
}

// answer encodes v with an entity tag, or answers 304 when the caller has it.
func answer(c echo.Context, v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return send(c, echo.MIMEApplicationJSON, b.Bytes())
}

// send answers bytes with an entity tag, or 304 when the caller has them.
func send(c echo.Context, mediaType string, p []byte) error {
	sum := sha256.Sum256(p)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := c.Response().Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Vary", "Authorization")
	for old := range strings.SplitSeq(c.Request().Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(old), "W/") == tag {
			return c.NoContent(http.StatusNotModified)
		}
	}
	return c.Blob(http.StatusOK, mediaType, p)
}
