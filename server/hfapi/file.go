package hfapi

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// treeEntry is a file or a folder of a listing.
type treeEntry struct {
	Type string `json:"type"` // "file" or "directory"
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *lfs   `json:"lfs,omitempty"`
}

func fileEntry(f *registry.File) treeEntry {
	return treeEntry{"file", f.Digest.Hex()[:40], f.Size, f.Path, lfsOf(f)}
}

// tree lists the files below a folder, all of them in one answer: some
// clients read no second one.
func (h *Handler) tree(c echo.Context) error {
	f, err := h.find(c, c.Param("rev"))
	if err != nil {
		return err
	}
	below := strings.Trim(c.Param("*"), "/")
	recursive := c.QueryParam("recursive") == "true" || c.QueryParam("recursive") == "1" || c.QueryParam("recursive") == "True"
	prefix := ""
	if below != "" {
		prefix = below + "/"
	}
	entries := []treeEntry{}
	folders := map[string]bool{}
	for _, x := range files(&f.version) {
		rest, ok := strings.CutPrefix(x.Path, prefix)
		if !ok {
			continue
		}
		parts := strings.Split(rest, "/")
		for i := range parts[:len(parts)-1] {
			if !recursive && i > 0 {
				break
			}
			folder := prefix + strings.Join(parts[:i+1], "/")
			if !folders[folder] {
				folders[folder] = true
				entries = append(entries, treeEntry{Type: "directory", OID: registry.DigestOf(registry.SHA256, []byte(folder)).Hex()[:40], Path: folder})
			}
		}
		if recursive || len(parts) == 1 {
			entries = append(entries, fileEntry(&x))
		}
	}
	if below != "" && len(entries) == 0 {
		return errEntry
	}
	return c.JSON(http.StatusOK, entries)
}

// Limits of a question about paths.
const (
	maxPathsBody = 1 << 20 // bytes
	maxPaths     = 1000
)

// pathsInfo answers what is known of some paths; those that are not there are left out.
func (h *Handler) pathsInfo(c echo.Context) error {
	f, err := h.find(c, c.Param("rev"))
	if err != nil {
		return err
	}
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxPathsBody)
	var paths []string
	if strings.HasPrefix(r.Header.Get(echo.HeaderContentType), echo.MIMEApplicationJSON) {
		var body struct {
			Paths json.RawMessage `json:"paths"`
		}
		p, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(p, &body)
		}
		if err == nil && json.Unmarshal(body.Paths, &paths) != nil {
			var one string
			err = json.Unmarshal(body.Paths, &one)
			paths = []string{one}
		}
		if err != nil {
			return registry.Wrap(err, server.CodeRequestInvalid, "the body is not the JSON object expected")
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return registry.Wrap(err, server.CodeRequestInvalid, "the form cannot be read")
		}
		paths = r.PostForm["paths"]
	}
	if len(paths) > maxPaths {
		return registry.Errorf(server.CodeRequestInvalid, "at most %d paths can be asked for at once", maxPaths)
	}
	entries := []treeEntry{}
	for _, x := range files(&f.version) {
		if slices.Contains(paths, x.Path) {
			entries = append(entries, fileEntry(&x))
		}
	}
	return c.JSON(http.StatusOK, entries)
}

// resolve serves a file by its name.
func (h *Handler) resolve(c echo.Context) error {
	f, err := h.find(c, c.Param("rev"))
	if err != nil {
		return err
	}
	list := files(&f.version)
	i := slices.IndexFunc(list, func(x registry.File) bool { return x.Path == c.Param("*") })
	if i < 0 {
		return errEntry
	}
	b, err := h.reg.StatBlob(c.Request().Context(), f.grant, list[i].Digest)
	if err != nil {
		return err
	}
	hd := c.Response().Header()
	etag := `"` + b.Digest.Hex() + `"`
	hd.Set("ETag", etag)
	hd.Set(headerLinkedETag, etag)
	hd.Set(headerLinkedSize, strconv.FormatInt(b.Size, 10))
	hd.Set("Accept-Ranges", "bytes")
	hd.Set("Cache-Control", "private, no-cache")
	hd.Set("Vary", "Authorization")
	hd.Set(echo.HeaderContentType, "application/octet-stream")
	hd.Set("Access-Control-Expose-Headers", strings.Join([]string{headerCommit, headerLinkedETag, headerLinkedSize, headerErrorCode, headerErrorMessage, "ETag"}, ", "))
	if c.Request().Method == http.MethodHead {
		return h.content.Head(c, b)
	}
	return h.content.Get(c, b)
}
