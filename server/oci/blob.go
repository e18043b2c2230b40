package oci

import (
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// agentOllama is how the User-Agent of Ollama begins.
const agentOllama = "ollama/"

const octetStream = "application/octet-stream"

// blob authorizes a pull and finds the blob.
func (h *Handler) blob(c echo.Context, r route) (registry.Blob, error) {
	g, err := h.access.Authorize(c, r.name, auth.Pull)
	if err != nil {
		return registry.Blob{}, err
	}
	b, err := h.reg.StatBlob(c.Request().Context(), g, r.digest)
	if err != nil {
		return registry.Blob{}, err
	}
	hd := c.Response().Header()
	hd.Set(headerDigest, b.Digest.String())
	hd.Set("ETag", `"`+b.Digest.String()+`"`)
	hd.Set("Accept-Ranges", "bytes")
	hd.Set("Cache-Control", "private, max-age=31536000, immutable")
	hd.Set(echo.HeaderContentType, octetStream)
	return b, nil
}

// headBlob never redirects and touches nothing but the metadata.
func (h *Handler) headBlob(c echo.Context, r route) error {
	b, err := h.blob(c, r)
	if err != nil {
		return err
	}
	return h.content.Head(c, b)
}

func (h *Handler) getBlob(c echo.Context, r route) error {
	b, err := h.blob(c, r)
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.Request().UserAgent(), agentOllama) {
		// It asks where the blob is before it fetches parts of it from there,
		// and takes no answer without an address. A redirect replaces this one.
		c.Response().Header().Set(echo.HeaderLocation, h.access.BaseURL(c)+c.Request().URL.EscapedPath())
	}
	return h.content.Get(c, b)
}

func (h *Handler) deleteBlob(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Delete)
	if err != nil {
		return err
	}
	if err := h.reg.DeleteBlob(c.Request().Context(), g, r.digest); err != nil {
		return err
	}
	return noBody(c, http.StatusAccepted)
}

// mediaType returns the media type of a Content-Type header without parameters.
func mediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		return header
	}
	return t
}
