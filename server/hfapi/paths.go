package hfapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Limits of a question about paths.
const (
	maxPathsBody = 1 << 20 // bytes
	maxPaths     = 1000
)

// pathsQuery is a question about some paths.
type pathsQuery struct {
	paths  []string
	expand bool // with the last commit of each
}

// parsePaths reads a question about paths: JSON, or a form, which is what a
// body of no known type is taken for. Errors: server.CodeRequestInvalid.
func parsePaths(contentType string, body []byte) (*pathsQuery, error) {
	var q pathsQuery
	if kind, _, _ := mime.ParseMediaType(contentType); kind == echo.MIMEApplicationJSON {
		var doc struct {
			Paths  json.RawMessage `json:"paths"`
			Expand bool            `json:"expand"`
		}
		err := json.Unmarshal(body, &doc)
		if err == nil && json.Unmarshal(doc.Paths, &q.paths) != nil {
			var one string
			err = json.Unmarshal(doc.Paths, &one)
			q.paths = []string{one}
		}
		if err != nil {
			return nil, registry.Wrap(err, server.CodeRequestInvalid, `the body must be a JSON object with "paths", a list of strings`)
		}
		q.expand = doc.Expand
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, registry.Wrap(err, server.CodeRequestInvalid, "the form cannot be read")
		}
		q.paths, q.expand = form["paths"], flag(form.Get("expand"))
	}
	if len(q.paths) > maxPaths {
		return nil, registry.Errorf(server.CodeRequestInvalid, "at most %d paths can be asked for at once", maxPaths)
	}
	for i, p := range q.paths {
		q.paths[i] = strings.Trim(p, "/")
	}
	return &q, nil
}

// pathsInfo answers what is known of some paths, of files and of folders;
// those that are not there are left out.
func (h *Handler) pathsInfo(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, maxPathsBody))
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return err
	} else if err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, "the body cannot be read")
	}
	q, err := parsePaths(r.Header.Get(echo.HeaderContentType), body)
	if err != nil {
		return err
	}
	files := f.files()
	there := folders(files)
	for i := range files {
		there[files[i].Path] = fileEntry(&files[i])
	}
	list := []treeEntry{}
	for _, p := range q.paths {
		if e, ok := there[p]; ok {
			list = append(list, e)
			delete(there, p) // once is enough
		}
	}
	if q.expand {
		if err := h.addCommits(c, f, list); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, list)
}
