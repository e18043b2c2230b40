package content

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

const octetStream = "application/octet-stream"

// redirectFrom is the size in bytes from which blobs are redirected to the
// storage. A smaller one is there before a client could follow.
const redirectFrom = 1 << 20

// Server serves the content of blobs. The caller has decided who may have
// them, and has set the headers that say what they are, ETag among them.
type Server struct {
	reg      *registry.Registry
	redirect time.Duration
}

// New returns a server. redirectFor is how long the URLs hold to which GETs
// are redirected where the storage has URLs; zero serves every blob through
// this hub.
func New(reg *registry.Registry, redirectFor time.Duration) *Server {
	return &Server{reg: reg, redirect: redirectFor}
}

// Head answers HEAD. It never redirects and touches nothing but the metadata.
func (s *Server) Head(c echo.Context, b registry.Blob) error {
	if NotModified(c) {
		return c.NoContent(http.StatusNotModified)
	}
	c.Response().Header().Set(echo.HeaderContentLength, strconv.FormatInt(b.Size, 10))
	return c.NoContent(http.StatusOK)
}

// Get answers GET, with a redirect, the whole blob or ranges of it.
func (s *Server) Get(c echo.Context, b registry.Blob) error {
	ranges, err := requestedRanges(c.Request(), b.Size)
	if err != nil {
		c.Response().Header().Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
		return err
	}
	if s.redirect > 0 && b.Size >= redirectFrom && ranges <= 1 && !conditional(c.Request()) {
		url, err := s.reg.RedirectURL(c.Request().Context(), b, storage.Redirect{
			Method: http.MethodGet, ContentType: octetStream, Expires: s.redirect,
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
	f, err := s.reg.File(c.Request().Context(), b)
	if errors.Is(err, errors.ErrUnsupported) {
		return s.serveRanges(c, b, ranges)
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
func (s *Server) serveRanges(c echo.Context, b registry.Blob, ranges int) error {
	content := &rangeReader{ctx: c.Request().Context(), reg: s.reg, blob: b}
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

// NotModified reports whether If-None-Match names the answer's ETag.
func NotModified(c echo.Context) bool {
	etag := c.Response().Header().Get("ETag")
	for tag := range strings.SplitSeq(c.Request().Header.Get("If-None-Match"), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag != "" && tag == etag {
			return true
		}
	}
	return false
}
