package oci

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

const octetStream = "application/octet-stream"

// redirectFrom is the size in bytes from which blobs are redirected to the
// storage. A smaller one is there before a client could follow.
const redirectFrom = 1 << 20

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
	if notModified(c, b.Digest) {
		return c.NoContent(http.StatusNotModified)
	}
	c.Response().Header().Set(echo.HeaderContentLength, strconv.FormatInt(b.Size, 10))
	return c.NoContent(http.StatusOK)
}

func (h *Handler) getBlob(c echo.Context, r route) error {
	b, err := h.blob(c, r)
	if err != nil {
		return err
	}
	ranges, err := requestedRanges(c.Request(), b.Size)
	if err != nil {
		c.Response().Header().Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
		return err
	}
	if h.redirect > 0 && b.Size >= redirectFrom && ranges <= 1 && !conditional(c.Request()) {
		url, err := h.reg.RedirectURL(c.Request().Context(), b, storage.Redirect{
			Method: http.MethodGet, ContentType: octetStream, Expires: h.redirect,
		})
		if err == nil {
			// The URL runs out long before the content changes.
			c.Response().Header().Set("Cache-Control", "no-store")
			return c.Redirect(http.StatusTemporaryRedirect, url)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	// A file, where there is one, so that the kernel can send it; echo's
	// writer would hide io.ReaderFrom and with it sendfile.
	f, err := h.reg.File(c.Request().Context(), b)
	if errors.Is(err, errors.ErrUnsupported) {
		return h.serveRanges(c, b, ranges)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	http.ServeContent(c.Response().Writer, c.Request(), "", time.Time{}, f)
	return nil
}

// serveRanges answers with a blob of a storage that has no files. When not
// even the first byte can be had, the answer is the error.
func (h *Handler) serveRanges(c echo.Context, b registry.Blob, ranges int) error {
	content := &rangeReader{ctx: c.Request().Context(), reg: h.reg, blob: b}
	defer content.Close()
	if ranges > 1 { // net/http begins such an answer before it reads
		http.ServeContent(c.Response().Writer, c.Request(), "", time.Time{}, content)
		return nil
	}
	w := &lateHeader{ResponseWriter: c.Response().Writer}
	http.ServeContent(w, c.Request(), "", time.Time{}, content)
	if err := content.failure(); err != nil {
		return err
	}
	w.begin()
	return nil
}

// lateHeader sends the header with the first byte of the body, or at begin.
type lateHeader struct {
	http.ResponseWriter
	status int // 0 when there is none to send
}

// WriteHeader implements http.ResponseWriter.
func (w *lateHeader) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *lateHeader) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

func (w *lateHeader) begin() {
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
		w.status = 0
	}
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

// conditional reports whether the answer depends on validators, which the
// storage behind a redirect does not share with us.
func conditional(r *http.Request) bool {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Range"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// notModified reports whether If-None-Match names the digest.
func notModified(c echo.Context, d registry.Digest) bool {
	for _, tag := range strings.Split(c.Request().Header.Get("If-None-Match"), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == `"`+d.String()+`"` {
			return true
		}
	}
	return false
}

// mediaType returns the media type of a Content-Type header without parameters.
func mediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		return header
	}
	return t
}
