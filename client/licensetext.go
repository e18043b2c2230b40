package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/carat-hub/carat/registry"
)

// LicenseReading tells which licence the text in a version is. Errors:
// ErrNoHub, registry.CodeManifestUnknown when there is no text, *ResponseError.
func (h *Hub) LicenseReading(ctx context.Context, n registry.Name, ref registry.Reference) (*registry.Reading, error) {
	var x registry.Reading
	err := h.call(ctx, http.MethodGet, versionPath(n, ref)+"/license-text", nil, &x)
	if err == nil && x.Digest == "" {
		err = ErrNoHub
	}
	if err != nil {
		return nil, fmt.Errorf("read the licence of %s: %w", displayVersion(n, ref), err)
	}
	return &x, nil
}

// ConfirmLicenseText has the hub sign that the text in a version is that of a
// licence. Errors: ErrNoCredentials, registry.CodeTermsInvalid, *ResponseError.
func (h *Hub) ConfirmLicenseText(ctx context.Context, n registry.Name, ref registry.Reference, license, reason string) (*registry.LicenseText, error) {
	var x registry.LicenseText
	body := map[string]string{"license": license, "reason": reason}
	if err := h.change(ctx, http.MethodPost, versionPath(n, ref)+"/license-text", body, &x); err != nil {
		return nil, fmt.Errorf("confirm the licence's text of %s: %w", displayVersion(n, ref), err)
	}
	return &x, nil
}

// LicenseTexts lists the texts that were confirmed. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) LicenseTexts(ctx context.Context) ([]registry.LicenseText, error) {
	var list struct {
		Texts []registry.LicenseText `json:"texts"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/license-texts", nil, &list); err != nil {
		return nil, fmt.Errorf("list the texts of licences: %w", err)
	}
	return list.Texts, nil
}

// LicenseText returns a text that was confirmed, by its digest. Errors:
// ErrNoCredentials, registry.CodeManifestUnknown, *ResponseError.
func (h *Hub) LicenseText(ctx context.Context, d registry.Digest) (*registry.LicenseText, error) {
	var x registry.LicenseText
	if err := h.change(ctx, http.MethodGet, "/api/v1/license-texts/"+d.String(), nil, &x); err != nil {
		return nil, fmt.Errorf("fetch the text %s: %w", d, err)
	}
	return &x, nil
}

// ForgetLicenseText takes a confirmation back. Errors: ErrNoCredentials,
// registry.CodeManifestUnknown, *ResponseError.
func (h *Hub) ForgetLicenseText(ctx context.Context, d registry.Digest) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/license-texts/"+d.String(), nil, nil); err != nil {
		return fmt.Errorf("forget the text %s: %w", d, err)
	}
	return nil
}
