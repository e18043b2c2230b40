package hub

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// LicenseTexts are the texts of licences in versions, and those of which
// administrators confirmed which licence they are.
type LicenseTexts interface {
	// ReadLicense tells which licence the text in a version is; nil for no text.
	ReadLicense(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.Reading, error)
	// ConfirmText signs that the text in a version is that of a licence; only
	// administrators may. Errors: registry.CodeTermsInvalid.
	ConfirmText(ctx context.Context, p auth.Principal, v *registry.Version, ref, reason string) (*registry.LicenseText, error)
	// LicenseTexts lists what was confirmed; only administrators may.
	LicenseTexts(ctx context.Context, p auth.Principal) ([]registry.LicenseText, error)
	// LicenseText returns one with its text; only administrators may. Errors:
	// registry.CodeManifestUnknown.
	LicenseText(ctx context.Context, p auth.Principal, d registry.Digest) (*registry.LicenseText, error)
	// ForgetText takes a confirmation back; only administrators may. Errors:
	// registry.CodeManifestUnknown.
	ForgetText(ctx context.Context, p auth.Principal, d registry.Digest) error
}

var _ LicenseTexts = (*registry.Registry)(nil)

func (h *Handler) registerLicenseTexts(e *echo.Echo) {
	const ofVersion = "/api/v1/models/:org/:name/versions/:reference/license-text"
	e.GET(ofVersion, h.readLicense)
	e.POST(ofVersion, h.confirmText)
	e.GET("/api/v1/license-texts", h.listLicenseTexts)
	e.GET("/api/v1/license-texts/:digest", h.licenseText)
	e.DELETE("/api/v1/license-texts/:digest", h.forgetText)
}

func (h *Handler) readLicense(c echo.Context) error {
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	x, err := h.licenseTexts.ReadLicense(c.Request().Context(), g, &v)
	if err != nil {
		return err
	}
	if x == nil {
		return registry.Errorf(registry.CodeManifestUnknown, "the version has no file with the text of a licence, or was not inspected yet")
	}
	return answer(c, x)
}

// confirmation is the body of POST …/license-text.
type confirmation struct {
	License string `json:"license"`
	Reason  string `json:"reason"`
}

func (h *Handler) confirmText(c echo.Context) error {
	var body confirmation
	p, v, err := h.decided(c, administers, &body)
	if err != nil {
		return err
	}
	x, err := h.licenseTexts.ConfirmText(c.Request().Context(), p, &v, body.License, body.Reason)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, x)
}

func (h *Handler) listLicenseTexts(c echo.Context) error {
	list, err := h.licenseTexts.LicenseTexts(c.Request().Context(), h.access.Principal(c))
	if err != nil {
		return err
	}
	return answer(c, map[string][]registry.LicenseText{"texts": append([]registry.LicenseText{}, list...)})
}

func (h *Handler) licenseText(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Administer(p); err != nil {
		return err
	}
	d, err := textDigest(c)
	if err != nil {
		return err
	}
	x, err := h.licenseTexts.LicenseText(c.Request().Context(), p, d)
	if err != nil {
		return err
	}
	return answer(c, x)
}

func (h *Handler) forgetText(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Administer(p); err != nil {
		return err
	}
	d, err := textDigest(c)
	if err != nil {
		return err
	}
	if err := h.licenseTexts.ForgetText(c.Request().Context(), p, d); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func textDigest(c echo.Context) (registry.Digest, error) {
	d, err := registry.ParseDigest(c.Param("digest"))
	if err != nil {
		return d, registry.Wrap(err, server.CodeRequestInvalid, "a text is named by the digest of its bytes")
	}
	return d, nil
}
