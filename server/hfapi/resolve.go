package hfapi

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/server"
)

// exposed are the headers that scripts of other sites may read.
var exposed = strings.Join([]string{
	server.HeaderCommit, server.HeaderLinkedETag, server.HeaderLinkedSize, server.HeaderErrorCode, server.HeaderErrorMessage, "ETag", "Link", "Accept-Ranges", "Content-Range",
}, ", ")

// resolve serves a file by its name.
func (h *Handler) resolve(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	file, ok := f.listing.File(f.path)
	if !ok || file.Packed {
		return errEntry
	}
	b, err := h.reg.StatBlob(c.Request().Context(), f.grant, file.Digest)
	if err != nil {
		return err
	}
	hd := c.Response().Header()
	etag := `"` + b.Digest.Hex() + `"`
	hd.Set("ETag", etag)
	hd.Set(server.HeaderLinkedETag, etag)
	hd.Set(server.HeaderLinkedSize, strconv.FormatInt(b.Size, 10))
	hd.Set("Accept-Ranges", "bytes")
	hd.Set("Cache-Control", "private, no-cache")
	hd.Set("Vary", "Authorization")
	hd.Set("Access-Control-Expose-Headers", exposed)
	hd.Set(echo.HeaderContentType, "application/octet-stream")
	hd.Set(echo.HeaderContentDisposition, disposition(path.Base(f.path)))
	if c.Request().Method == http.MethodHead {
		return h.content.Head(c, b)
	}
	return h.content.Get(c, b)
}

// disposition names a file for who stores it, by RFC 6266: in UTF-8, and for
// old clients in ASCII.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r > 0x7e || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, name)
	return "inline; filename*=UTF-8''" + url.PathEscape(name) + `; filename="` + plain + `";`
}
