package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/licenses"
)

//go:embed templates
var templateFiles embed.FS

// page is what the layout needs of every page.
type page struct {
	Title   string
	Query   string // in the search box
	User    string // who is signed in, "" when nobody is
	Admin   bool   // who is signed in administers the hub
	SignIn  string // address of the form to sign in with, "" for who is signed in
	Version string // of the hub
	Refresh bool   // something on the page is still going on
	NoIndex bool   // search engines should leave it out
}

func (h *Handler) newPage(c echo.Context, title string) page {
	who := h.principal(c)
	p := page{Title: title, User: who.Name, Admin: who.Admin, Version: h.version}
	if who.Anonymous() {
		p.SignIn = signInURL(c)
	}
	return p
}

// pages are the parsed templates, each with the layout.
type pages struct {
	home, card, files, tags, license, verification, provenance, terms, org, audit, signIn, sessions, device, failure *template.Template
}

func parsePages(a *assets) (*pages, error) {
	base, err := template.New("layout.html").Funcs(template.FuncMap{
		"asset": a.url, "bytes": formatBytes, "count": formatCount, "grouped": formatGrouped, "stamp": formatStamp, "short": shortDigest,
		"section": licenses.Section, "percent": formatPercent,
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	var p pages
	for _, x := range []struct {
		t     **template.Template
		files []string
	}{
		{&p.home, []string{"home.html"}},
		{&p.card, []string{"model.html", "card.html"}},
		{&p.files, []string{"model.html", "files.html"}},
		{&p.tags, []string{"model.html", "tags.html"}},
		{&p.license, []string{"model.html", "license.html"}},
		{&p.verification, []string{"model.html", "verification.html"}},
		{&p.terms, []string{"model.html", "terms.html"}},
		{&p.provenance, []string{"model.html", "provenance.html"}},
		{&p.org, []string{"org.html"}},
		{&p.audit, []string{"audit.html"}},
		{&p.signIn, []string{"signin.html"}},
		{&p.sessions, []string{"sessions.html"}},
		{&p.device, []string{"device.html"}},
		{&p.failure, []string{"failure.html"}},
	} {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		for _, f := range x.files {
			if t, err = t.ParseFS(templateFiles, "templates/"+f); err != nil {
				return nil, err
			}
		}
		*x.t = t
	}
	return &p, nil
}

// render answers with a page. Nothing is sent before all of it is there, so
// that a failing template is a page with status 500 and not half a page.
func (h *Handler) render(c echo.Context, status int, t *template.Template, data any) error {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	header := c.Response().Header()
	secure(header)
	header.Add("Vary", "Authorization, Cookie")
	cache := "no-cache" // keep it, and ask whether it still holds
	if !h.principal(c).Anonymous() {
		cache = "private, no-cache"
	}
	if status != http.StatusOK {
		cache = "no-store"
	}
	header.Set("Cache-Control", cache)
	if status == http.StatusOK {
		sum := sha256.Sum256(b.Bytes())
		etag := `"` + hex.EncodeToString(sum[:16]) + `"`
		header.Set("ETag", etag)
		if matches(c.Request().Header.Get("If-None-Match"), etag) {
			return c.NoContent(http.StatusNotModified)
		}
	}
	return c.HTMLBlob(status, b.Bytes())
}

// matches reports whether an If-None-Match header has the entity tag, by the
// weak comparison of RFC 9110, section 8.8.3.2.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
