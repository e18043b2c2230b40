package hub

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/attestation"
)

// keyList is the answer of GET /api/v1/keys.
type keyList struct {
	Keys []attestation.Key `json:"keys"`
}

// listKeys answers the public keys under which reports of this hub are
// signed, the one in use first. Anyone may read them.
func (h *Handler) listKeys(c echo.Context) error {
	keys, err := h.keys.Keys(c.Request().Context())
	if err != nil {
		return err
	}
	if keys == nil {
		keys = []attestation.Key{}
	}
	return answer(c, keyList{keys})
}

// rotateKey puts a fresh key into use.
func (h *Handler) rotateKey(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	if err := decode(c, &struct{}{}); err != nil { // a page of another site cannot send JSON
		return err
	}
	key, err := h.keys.Rotate(c.Request().Context())
	if errors.Is(err, attestation.ErrForeignKey) {
		return registry.Wrap(err, registry.CodeUnsupported, "the hub was started with --signing-key; restart it with another file")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, key)
}
