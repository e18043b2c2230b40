package hub

import (
	"context"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// AuditLog is the log of what was done.
type AuditLog interface {
	// Entries returns entries of the log.
	Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	// Head returns number and hash of the last entry.
	Head(ctx context.Context) (audit.Chain, error)
}

var _ AuditLog = (*audit.Log)(nil)

// auditAnswer is the answer of /api/v1/audit.
type auditAnswer struct {
	Entries []audit.Entry `json:"entries"`
	// Last is the end of the log, whatever was asked for.
	Last struct {
		Seq  int64  `json:"seq"`
		Hash string `json:"hash"`
	} `json:"last"`
}

// auditEntries answers entries of the log to administrators.
func (h *Handler) auditEntries(c echo.Context) error {
	if err := auth.Administer(h.access.Principal(c)); err != nil {
		return err
	}
	q, err := auditQuery(c)
	if err != nil {
		return err
	}
	var a auditAnswer
	if a.Entries, err = h.audit.Entries(c.Request().Context(), q); err != nil {
		return err
	}
	end, err := h.audit.Head(c.Request().Context())
	if err != nil {
		return err
	}
	a.Last.Seq, a.Last.Hash = end.Seq, end.Hash
	return answer(c, a)
}

func auditQuery(c echo.Context) (audit.Query, error) {
	q := audit.Query{
		Action: audit.Action(c.QueryParam("action")), Actor: c.QueryParam("actor"), Repository: c.QueryParam("repository"), Limit: registry.MaxPage,
	}
	for name, into := range map[string]*int64{"after": &q.After, "before": &q.Before} {
		if s := c.QueryParam(name); s != "" {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < 0 {
				return q, registry.Errorf(server.CodeRequestInvalid, "%s is the number of an entry", name)
			}
			*into = n
		}
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if s := c.QueryParam(name); s != "" {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return q, registry.Errorf(server.CodeRequestInvalid, "%s is a time as in RFC 3339", name)
			}
			*into = t
		}
	}
	if s := c.QueryParam("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > registry.MaxPage {
			return q, registry.Errorf(server.CodeRequestInvalid, "limit is a number from 1 to %d", registry.MaxPage)
		}
		q.Limit = n
	}
	switch c.QueryParam("order") {
	case "", "oldest":
	case "newest":
		q.Newest = true
	default:
		return q, registry.Errorf(server.CodeRequestInvalid, `order is "oldest" or "newest"`)
	}
	return q, nil
}
