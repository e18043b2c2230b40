package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/audit"
)

// chain is an AuditLog of what was done on a hub.
type chain struct{ hub *hub }

func (c chain) all() (entries []audit.Entry, end audit.Chain, err error) {
	for _, e := range c.hub.done {
		next, err := audit.Follow(end.Seq, end.Hash, e)
		if err != nil {
			return nil, end, err
		}
		entries = append(entries, next)
		end = audit.Chain{Seq: next.Seq, Hash: next.Hash}
	}
	return entries, end, c.hub.err
}

func (c chain) Head(context.Context) (audit.Chain, error) {
	_, end, err := c.all()
	return end, err
}

func (c chain) Entries(_ context.Context, q audit.Query) ([]audit.Entry, error) {
	entries, _, err := c.all()
	if !q.Newest {
		return nil, fmt.Errorf("the page asks for the oldest entries first")
	}
	slices.Reverse(entries)
	entries = slices.DeleteFunc(entries, func(e audit.Entry) bool {
		return q.Before > 0 && e.Seq >= q.Before || q.Actor != "" && e.Name != q.Actor || q.Action != "" && e.Action != q.Action ||
			q.Repository != "" && e.Repository != q.Repository || !q.Since.IsZero() && e.At.Before(q.Since) || !q.Until.IsZero() && !e.At.Before(q.Until)
	})
	return entries[:min(q.Limit, len(entries))], err
}

// busy is a hub on which something of every form was done, an hour apart.
func busy() *hub {
	h := example()
	ada := audit.Actor{UserID: 7, Name: "ada", Address: "192.0.2.7", Request: "request-7"}
	h.done = []audit.Event{
		{Action: audit.RotateKey, Actor: audit.Actor{Name: audit.System}},
		{Action: audit.SignInRefused, Actor: audit.Actor{Address: "192.0.2.9"}, Count: 12, Detail: map[string]string{"as": "root"}},
		{Action: audit.Push, Actor: ada, Repository: "carat/tiny-llama", Tag: "v2", Digest: digest("v2").String()},
		{Action: audit.SetGate, Actor: ada, Repository: "carat", Detail: map[string]string{"gate": "block", "before": "warn"}},
	}
	for i := range h.done {
		h.done[i].At = today.Add(time.Duration(i-len(h.done)) * time.Hour)
	}
	return h
}

func TestAuditPage(t *testing.T) {
	t.Parallel()
	s := setup(t, busy())
	for who, want := range map[string]int{"": http.StatusUnauthorized, "user": http.StatusForbidden, "admin": http.StatusOK} {
		rec := s.get("/admin/audit", as, who)
		if rec.Code != want {
			t.Errorf("as %q: status %d, want %d", who, rec.Code, want)
		}
		if want != http.StatusOK && strings.Contains(rec.Body.String(), "ada") {
			t.Errorf("as %q: the page tells of the log", who)
		}
	}
	golden(t, "audit.html", assetHash.ReplaceAllString(s.get("/admin/audit", as, "admin").Body.String(), ".HASH.$1"))
	if home := s.get("/", as, "admin").Body.String(); !strings.Contains(home, `href="/admin/audit"`) {
		t.Error("administrators find no link to the log")
	}
	if home := s.get("/", as, "user").Body.String(); strings.Contains(home, `href="/admin/audit"`) {
		t.Error("others find a link to the log")
	}
}

var entryID = regexp.MustCompile(`<tr id="entry-(\d+)">`)

// entriesOn returns the numbers of the entries on a page.
func entriesOn(body string) (list []string) {
	for _, m := range entryID.FindAllStringSubmatch(body, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestAuditFilters(t *testing.T) {
	t.Parallel()
	s := setup(t, busy())
	tests := map[string][]string{
		"":                           {"4", "3", "2", "1"},
		"?actor=ada":                 {"4", "3"},
		"?actor=ada&action=push":     {"3"},
		"?action=push&actor=bob":     nil,
		"?repository=carat":          {"4"},
		"?since=2026-11-23":          {"4", "3", "2", "1"},
		"?since=2026-11-24":          nil,
		"?until=2026-11-22":          nil,
		"?until=2026-11-23&before=3": {"2", "1"},
		"?since=yesterday&before=x":  {"4", "3", "2", "1"},
	}
	for query, want := range tests {
		rec := s.get("/admin/audit"+query, as, "admin")
		if diff := cmp.Diff(want, entriesOn(rec.Body.String())); rec.Code != http.StatusOK || diff != "" {
			t.Errorf("%s: status %d (-want +got):\n%s", query, rec.Code, diff)
		}
	}
}

// TestAuditPages follows the links from the newest to the oldest entry.
func TestAuditPages(t *testing.T) {
	t.Parallel()
	const total = 2*auditPerPage + 50
	h := example()
	for i := range total {
		h.done = append(h.done, audit.Event{At: today, Action: audit.Push, Actor: audit.Actor{Name: "ada & bob"}, Tag: fmt.Sprint(i)})
	}
	s := setup(t, h)
	older := regexp.MustCompile(`<a rel="next" href="([^"]+)">`)
	var got []string
	path, pages := "/admin/audit?actor=ada+%26+bob", 0
	for path != "" {
		body := s.get(path, as, "admin").Body.String()
		got = append(got, entriesOn(body)...)
		path = ""
		if m := older.FindStringSubmatch(body); m != nil {
			path = html.UnescapeString(m[1])
		}
		if pages++; pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if len(got) != total || got[0] != fmt.Sprint(total) || got[total-1] != "1" || len(slices.Compact(got)) != total {
		t.Errorf("%d entries on %d pages, from %s to %s", len(got), pages, got[0], got[len(got)-1])
	}
}
