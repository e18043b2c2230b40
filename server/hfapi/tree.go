package hfapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// errEntry says that a version has no file or folder of a name.
var errEntry = registry.Errorf(server.CodeFileUnknown, "there is no such file in this version")

// treeEntry is a file or a folder of a listing.
type treeEntry struct {
	Type       string      `json:"type"` // "file" or "directory"
	OID        string      `json:"oid"`
	Size       int64       `json:"size"` // bytes, 0 of a folder
	Path       string      `json:"path"`
	LFS        *lfs        `json:"lfs,omitempty"`
	LastCommit *lastCommit `json:"lastCommit,omitempty"`
}

// lastCommit is the oldest version since which an entry is what it is.
type lastCommit struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	Date  timestamp `json:"date"`
}

func fileEntry(f *registry.File) treeEntry {
	return treeEntry{Type: "file", OID: f.Digest.Hex()[:commitLength], Size: f.Size, Path: f.Path, LFS: lfsOf(f)}
}

// folders returns the entries of all folders by their paths.
func folders(files []registry.File) map[string]treeEntry {
	content := map[string]*strings.Builder{}
	for _, f := range files {
		for i, r := range f.Path {
			if r != '/' {
				continue
			}
			b := content[f.Path[:i]]
			if b == nil {
				b = new(strings.Builder)
				content[f.Path[:i]] = b
			}
			b.WriteString(f.Path[i:] + "\x00" + f.Digest.String() + "\x00")
		}
	}
	entries := make(map[string]treeEntry, len(content))
	for path, b := range content {
		entries[path] = treeEntry{Type: "directory", OID: registry.DigestOf(registry.SHA256, []byte(b.String())).Hex()[:commitLength], Path: path}
	}
	return entries
}

// entries lists what is below a folder, "" for the root, sorted by path, and
// what is below its folders too when recursive.
func entries(files []registry.File, below string, recursive bool) []treeEntry {
	prefix := ""
	if below != "" {
		prefix = below + "/"
	}
	list := []treeEntry{}
	add := func(e treeEntry) {
		if rest, ok := strings.CutPrefix(e.Path, prefix); ok && rest != "" && (recursive || !strings.Contains(rest, "/")) {
			list = append(list, e)
		}
	}
	for _, e := range folders(files) {
		add(e)
	}
	for i := range files {
		add(fileEntry(&files[i]))
	}
	slices.SortFunc(list, func(a, b treeEntry) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// tree lists the files below a folder, all of them in one answer unless it is
// asked for pages: some clients read no second one.
func (h *Handler) tree(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	below := strings.Trim(f.path, "/")
	list := entries(f.files(), below, flag(c.QueryParam("recursive")))
	if below != "" && len(list) == 0 {
		return errEntry
	}
	limit, err := limitOf(c, len(list), len(list))
	if err != nil {
		return err
	}
	from := 0
	if s := c.QueryParam("cursor"); s != "" {
		if from, err = strconv.Atoi(s); err != nil || from < 0 {
			return errParameter("cursor")
		}
		from = min(from, len(list))
	}
	to := min(from+limit, len(list))
	if to < len(list) {
		h.linkNext(c, "cursor", strconv.Itoa(to))
	}
	list = list[from:to]
	if flag(c.QueryParam("expand")) {
		if err := h.addCommits(c, f, list); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, list)
}

// addCommits finds the version since which each entry is what it is.
func (h *Handler) addCommits(c echo.Context, f *found, list []treeEntry) error {
	history, err := h.history(c, f)
	if err != nil {
		return err
	}
	settled := make([]bool, len(list))
	for i := range history {
		v := &history[i]
		files := plainFiles(v.Files)
		there := folders(files)
		for j := range files {
			there[files[j].Path] = fileEntry(&files[j])
		}
		for j := range list {
			if settled[j] {
				continue
			}
			if e, ok := there[list[j].Path]; !ok || e.OID != list[j].OID || e.Type != list[j].Type {
				settled[j] = true
				continue
			}
			list[j].LastCommit = &lastCommit{commitOf(v.Digest), title(v), timestamp(v.CreatedAt)}
		}
	}
	return nil
}
