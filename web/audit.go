package web

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

const (
	auditPath    = "/admin/audit"
	auditPerPage = 100
)

// AuditLog is the log of what was done.
type AuditLog interface {
	// Entries returns entries of the log.
	Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	// Head returns number and hash of the last entry.
	Head(ctx context.Context) (audit.Chain, error)
}

var _ AuditLog = (*audit.Log)(nil)

// auditPage lists entries of the log, the newest first.
type auditPage struct {
	page
	Filters  auditFilters
	Filtered bool
	Actions  []audit.Action // of the entries shown, for the filter
	Entries  []auditRow
	Last     audit.Chain // the end of the log, whatever is shown
	Newest   string      // address of the first page, "" on it
	Older    string      // address of the next page, "" on the last
}

// auditFilters are what a reader of the log looks for, as typed.
type auditFilters struct {
	Actor, Action, Repository string
	Since, Until              string // days in UTC, both included
}

// auditRow is one entry.
type auditRow struct {
	Seq      int64
	At       moment
	Action   audit.Action
	Actor    string
	Self     bool // the hub did it itself
	Count    int  // how often, 0 and 1 for once
	Subject  string
	URL      string // of the subject's page, "" for none
	Tag      string
	Digest   registry.Digest
	Unparsed string // digest that is none
	Details  []auditDetail
	Address  string
	Request  string
}

type auditDetail struct{ Name, Value string }

// auditLogPage answers with the log, to administrators.
func (h *Handler) auditLogPage(c echo.Context) error {
	if err := auth.Administer(h.principal(c)); err != nil {
		return err
	}
	p := auditPage{page: h.newPage(c, "Audit log")}
	p.NoIndex = true
	field := func(name string) string {
		s, _ := clip(strings.ToValidUTF8(strings.TrimSpace(c.QueryParam(name)), ""), maxQuery)
		return s
	}
	p.Filters = auditFilters{field("actor"), field("action"), field("repository"), field("since"), field("until")}
	p.Filtered = p.Filters != auditFilters{}
	q := audit.Query{
		Newest: true, Limit: auditPerPage + 1, // one more tells whether there is another page
		Actor: p.Filters.Actor, Action: audit.Action(p.Filters.Action), Repository: p.Filters.Repository,
	}
	// What is no day or no number selects nothing away: the form sends neither.
	if day, err := time.Parse(time.DateOnly, p.Filters.Since); err == nil {
		q.Since = day
	}
	if day, err := time.Parse(time.DateOnly, p.Filters.Until); err == nil {
		q.Until = day.AddDate(0, 0, 1)
	}
	if n, err := strconv.ParseInt(field("before"), 10, 64); err == nil && n > 0 {
		q.Before, p.Newest = n, p.Filters.url(0)
	}
	entries, err := h.audit.Entries(c.Request().Context(), q)
	if err != nil {
		return err
	}
	if len(entries) > auditPerPage {
		entries = entries[:auditPerPage]
		p.Older = p.Filters.url(entries[auditPerPage-1].Seq)
	}
	if p.Last, err = h.audit.Head(c.Request().Context()); err != nil {
		return err
	}
	for _, e := range entries {
		p.Entries = append(p.Entries, h.auditRow(e))
		if !slices.Contains(p.Actions, e.Action) {
			p.Actions = append(p.Actions, e.Action)
		}
	}
	slices.Sort(p.Actions)
	return h.render(c, http.StatusOK, h.pages.audit, p)
}

func (h *Handler) auditRow(e audit.Entry) auditRow {
	r := auditRow{
		Seq: e.Seq, At: h.moment(e.At), Action: e.Action, Actor: e.Name, Self: e.Name == audit.System && e.UserID == 0, Count: e.Count,
		Subject: e.Repository, Tag: e.Tag, Address: e.Address, Request: e.Request,
	}
	if d, err := registry.ParseDigest(e.Digest); err == nil {
		r.Digest = d
	} else {
		r.Unparsed = e.Digest
	}
	if n, err := registry.ParseName(e.Repository); err == nil && hasPage(n) {
		r.URL = modelURL(n, "", "")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		r.Details = append(r.Details, auditDetail{name, e.Detail[name]})
	}
	return r
}

// url is the address of the entries before one, or of the newest for 0.
func (f auditFilters) url(before int64) string {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "repository": f.Repository, "since": f.Since, "until": f.Until} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if len(q) == 0 {
		return auditPath
	}
	return auditPath + "?" + q.Encode()
}
