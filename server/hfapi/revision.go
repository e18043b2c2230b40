package hfapi

import (
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// found is a version that somebody may know of.
type found struct {
	name    registry.Name
	grant   auth.Grant
	listing *registry.Listing
	commit  string
	path    string // the rest of the request's path, of a file or a folder
}

// files are those that can be had by their names. Archives are none.
func (f *found) files() []registry.File { return plainFiles(f.listing.Files) }

func plainFiles(all []registry.File) []registry.File {
	list := make([]registry.File, 0, len(all))
	for _, x := range all {
		if !x.Packed {
			list = append(list, x)
		}
	}
	return list
}

// find authorizes a pull and finds the version of the path's revision, the
// one that stands for the model when the path has none.
func (h *Handler) find(c echo.Context) (*found, error) {
	n, err := registry.ParseName(c.Param("org") + "/" + c.Param("name"))
	if err != nil {
		return nil, err
	}
	g, err := h.access.Authorize(c, n, auth.Pull)
	if err != nil {
		return nil, err
	}
	ctx := c.Request().Context()
	revision, path := splitRevision(param(c, "rev"), param(c, "*"))
	list, err := h.listing(c, g, revision)
	if registry.IsCode(err, registry.CodeManifestUnknown) {
		if _, exists, lookErr := h.reg.Visibility(ctx, n); lookErr != nil {
			return nil, lookErr
		} else if !exists {
			return nil, registry.Errorf(registry.CodeNameUnknown, "there is no model %s", n)
		}
	}
	if err != nil {
		return nil, err
	}
	f := &found{name: n, grant: g, listing: list, commit: commitOf(list.Digest), path: path}
	c.Response().Header().Set(server.HeaderCommit, f.commit)
	return f, nil
}

// splitRevision puts a revision together again whose slashes a client did not
// escape: refs/heads/main, refs/tags/v1.
func splitRevision(revision, path string) (string, string) {
	if revision != "refs" {
		return revision, path
	}
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 2 {
		return revision, path
	}
	return revision + "/" + parts[0] + "/" + parts[1], strings.Join(parts[2:], "")
}

// listing finds the version of a revision. Errors: registry.CodeManifestUnknown.
func (h *Handler) listing(c echo.Context, g auth.Grant, revision string) (*registry.Listing, error) {
	ways, err := parseRevision(revision)
	if err != nil {
		return nil, err
	}
	var list *registry.Listing
	for _, way := range ways {
		list, err = h.reg.Listing(c.Request().Context(), g, way)
		if !registry.IsCode(err, registry.CodeManifestUnknown) {
			break
		}
	}
	return list, err
}

// commitOf is the commit that stands for a version.
func commitOf(d registry.Digest) string { return d.Hex()[:commitLength] }

// What Git calls things.
const (
	commitLength = 40
	head         = "HEAD"
	branchMain   = "main" // that clients ask for when nobody says another
	refHeads     = "refs/heads/"
	refTags      = "refs/tags/"
)

// parseRevision returns what a revision may mean, the likeliest first.
// Errors: registry.CodeManifestUnknown when it can mean nothing here.
func parseRevision(s string) ([]registry.Selector, error) {
	switch s {
	case "", head, branchMain, refHeads + branchMain:
		return []registry.Selector{{}}, nil
	}
	tag, named := strings.CutPrefix(s, refTags)
	if !named && strings.Contains(s, ":") {
		d, err := registry.ParseDigest(s)
		if err != nil {
			return nil, registry.Wrap(err, registry.CodeManifestUnknown, "there is no such version")
		}
		return []registry.Selector{{Digest: d}}, nil
	}
	t, err := registry.ParseTag(tag)
	if err != nil {
		return nil, registry.Wrap(err, registry.CodeManifestUnknown, "there is no such version")
	}
	if !named && isCommit(s) { // a tag may look like one
		return []registry.Selector{{Prefix: s}, {Tag: t}}, nil
	}
	return []registry.Selector{{Tag: t}}, nil
}

func isCommit(s string) bool {
	return len(s) == commitLength && strings.Trim(s, "0123456789abcdef") == ""
}
