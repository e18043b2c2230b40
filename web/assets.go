package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed static
var staticFiles embed.FS

const staticPrefix = "/static/"

// mediaTypes are those of the kinds of assets there are.
var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

type asset struct {
	body      []byte
	mediaType string
	etag      string
}

// assets are the static files under names that carry their content's hash,
// so that a name never means other content.
type assets struct {
	byURLName map[string]asset  // "style.0123456789abcdef.css"
	urls      map[string]string // "style.css" to its URL path
}

func loadAssets() (*assets, error) {
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	a := &assets{byURLName: make(map[string]asset), urls: make(map[string]string)}
	for _, e := range entries {
		body, err := fs.ReadFile(staticFiles, path.Join("static", e.Name()))
		if err != nil {
			return nil, err
		}
		ext := path.Ext(e.Name())
		if mediaTypes[ext] == "" {
			return nil, fmt.Errorf("%s has no known media type", e.Name())
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:8])
		name := strings.TrimSuffix(e.Name(), ext) + "." + hash + ext
		a.byURLName[name] = asset{body, mediaTypes[ext], `"` + hash + `"`}
		a.urls[e.Name()] = staticPrefix + name
	}
	return a, nil
}

// url returns the path of an asset, or an error for a template that names none.
func (a *assets) url(name string) (string, error) {
	u, ok := a.urls[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return u, nil
}

func (h *Handler) asset(c echo.Context) error {
	a, ok := h.assets.byURLName[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	return sendAsset(c, a, "public, max-age=31536000, immutable")
}

// favicon serves the icon to browsers that ask for it without reading a page.
func (h *Handler) favicon(c echo.Context) error {
	a := h.assets.byURLName[strings.TrimPrefix(h.assets.urls["favicon.svg"], staticPrefix)]
	return sendAsset(c, a, "public, max-age=86400")
}

func sendAsset(c echo.Context, a asset, cacheControl string) error {
	header := c.Response().Header()
	secure(header)
	header.Set("Cache-Control", cacheControl)
	header.Set("ETag", a.etag)
	if matches(c.Request().Header.Get("If-None-Match"), a.etag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, a.mediaType, a.body)
}
