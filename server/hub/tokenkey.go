package hub

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// tokenKeyList is the answer about the keys that sign tokens.
type tokenKeyList struct {
	Keys []auth.KeyInfo `json:"keys"`
}

// tokenKeyPost is the body of POST /api/v1/token-keys.
type tokenKeyPost struct {
	Drop bool `json:"drop"` // take the keys away that there are, and with them all tokens
}

// listTokenKeys answers the keys that tokens verify with, the newest first.
func (h *Handler) listTokenKeys(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	return answer(c, tokenKeyList{h.tokenKeys.List()})
}

// rotateTokenKey makes a fresh key.
func (h *Handler) rotateTokenKey(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	var body tokenKeyPost
	if err := decode(c, &body); err != nil {
		return err
	}
	change := h.tokenKeys.Rotate
	if body.Drop {
		change = h.tokenKeys.Drop
	}
	err := change(c.Request().Context())
	if errors.Is(err, auth.ErrRotating) {
		return registry.Wrap(err, server.CodeConflict, "a fresh key is published already and signs within a quarter of an hour")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, tokenKeyList{h.tokenKeys.List()})
}
