package hfapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// maxFilters is how many labels one query may ask for.
const maxFilters = 16

// maxSearched is how many pages of models one answer looks through. An answer
// may have fewer models than asked for, none even, and a next page.
const maxSearched = 5

// listQuery is a query for models.
type listQuery struct {
	registry.ModelQuery
	labels []string // all of which a model has
	gated  *bool
	full   bool // with files
	card   bool // with what its card says
	config bool
}

// parseList reads a query for models. Errors: server.CodeRequestInvalid.
func parseList(q url.Values) (*listQuery, error) {
	l := &listQuery{full: flag(q.Get("full")), card: flag(q.Get("cardData")), config: flag(q.Get("config"))}
	l.Org, l.Text = q.Get("author"), strings.Join(q["search"], " ")
	for _, key := range []string{"apps", "inference", "inference_provider", "num_parameters", "emissions_thresholds"} {
		if q.Get(key) != "" {
			return nil, registry.Errorf(server.CodeRequestInvalid, "this hub does not filter models by %s", key)
		}
	}
	for _, f := range append(q["filter"], q["filter[]"]...) {
		l.labels = append(l.labels, strings.FieldsFunc(f, func(r rune) bool { return r == ',' })...)
	}
	for _, key := range []string{"pipeline_tag", "library"} {
		if s := q.Get(key); s != "" {
			l.labels = append(l.labels, s)
		}
	}
	if len(l.labels) > maxFilters {
		return nil, registry.Errorf(server.CodeRequestInvalid, "at most %d filters can be given", maxFilters)
	}
	for _, label := range l.labels {
		l.Text += " " + labelWords(label)
	}
	if s := q.Get("gated"); s != "" {
		yes := flag(s)
		l.gated = &yes
	}
	switch sort := q.Get("sort"); sort {
	case "", "lastModified", "last_modified", "downloads", "likes", "likes30d", "trendingScore", "trending_score":
		// Downloads and likes are not counted: all have as many.
	case "createdAt", "created_at":
		l.Order = registry.OrderCreated
	default:
		return nil, registry.Errorf(server.CodeRequestInvalid, "models cannot be sorted by %.40q", sort)
	}
	switch q.Get("direction") {
	case "", "-1", "desc":
	case "1", "asc":
		l.Ascending = true
	default:
		return nil, errParameter("direction")
	}
	if s := q.Get("cursor"); s != "" {
		var err error
		if l.After, err = parseCursor(s); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// labelWords is the part of a label that the models which have it are found by.
func labelWords(label string) string {
	for _, prefix := range []string{"license:", "dataset:", "base_model:"} {
		if rest, ok := strings.CutPrefix(label, prefix); ok {
			return rest[strings.LastIndexByte(rest, ':')+1:] // after the relation to a base
		}
	}
	return label
}

// list answers models that match a query.
func (h *Handler) list(c echo.Context) error {
	q, err := parseList(c.QueryParams())
	if err != nil {
		return err
	}
	limit, err := limitOf(c, maxList, maxList)
	if err != nil {
		return err
	}
	names, models := expanded(c), []any{}
	q.Limit = limit
	if len(q.labels) > 0 || q.gated != nil {
		q.Limit = maxList // of which some will do
	}
	more := true
	for page := 0; page < maxSearched && more && len(models) < limit; page++ {
		found, _, err := h.reg.Models(c.Request().Context(), h.access.Principal(c), q.ModelQuery)
		if err != nil {
			return err
		}
		more = len(found) == q.Limit
		for i := range found {
			if len(models) == limit {
				more = true
				break
			}
			q.After = registry.ModelCursor{Name: found[i].Name, UpdatedAt: found[i].UpdatedAt}
			m, ok, err := h.listed(c, q, &found[i], names)
			if err != nil {
				return err
			}
			if ok {
				models = append(models, pick(m, names))
			}
		}
	}
	if more {
		h.linkNext(c, "cursor", formatCursor(q.After))
	}
	return c.JSON(http.StatusOK, models)
}

// listed describes a model for a list, and reports whether it matches.
func (h *Handler) listed(c echo.Context, q *listQuery, s *registry.ModelSummary, names []string) (m modelInfo, ok bool, err error) {
	if _, _, two := s.Name.Split(); !two {
		return m, false, nil // clients could not ask for it
	}
	if labels := s.Latest.Facts.Labels(); slices.ContainsFunc(q.labels, func(l string) bool { return !slices.Contains(labels, l) }) {
		return m, false, nil
	}
	g, err := auth.Allow(h.access.Principal(c), auth.Pull, auth.Resource{Repository: string(s.Name), Visibility: s.Visibility})
	if err != nil {
		return m, false, nil // it became private a moment ago
	}
	if m, err = h.describe(c, g, s); err != nil {
		return m, false, err
	}
	if q.gated != nil && *q.gated != (m.Gated != false) {
		return m, false, nil
	}
	wanted := func(name string) bool { return slices.Contains(names, name) }
	if q.full || wanted("siblings") {
		m.Siblings = siblings(s.Latest.Files, false)
	}
	if !q.card && !wanted("cardData") {
		m.CardData = nil
	}
	if !q.config && !wanted("config") {
		m.Config = nil
	}
	return m, true, nil
}
