package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
)

const (
	modelsPerPage = 20
	maxPage       = 5000
	maxQuery      = 200 // bytes of one search field
)

// homePage lists models.
type homePage struct {
	page
	Architecture, Format, License string         // the filters
	Openness                      openness.Level // least verified level, 0 for any
	Levels                        []openness.Level
	Filtered                      bool // a filter or a search is set
	Architectures                 []string
	Formats                       []string
	Licenses                      []licenseOption
	Models                        []modelRow
	Total                         int
	From, To                      int // of Total, counted from one
	Previous, Next                string
	Push                          []command // how to push a first model
}

type licenseOption struct{ SPDX, Name string }

// modelRow is one model in the list.
type modelRow struct {
	Org, Model   string
	URL          string // "" when the name has no page
	Summary      string
	Chips        []string
	License      string
	Openness     string // level and number of contradictions, "" while not known
	Size         int64
	Verification badge
	Updated      moment
}

func (h *Handler) home(c echo.Context) error {
	field := func(name string) string {
		s, _ := clip(strings.ToValidUTF8(strings.TrimSpace(c.QueryParam(name)), ""), maxQuery)
		return s
	}
	p := homePage{
		page: h.newPage(c, "Models"), Architecture: field("architecture"), Format: field("format"), License: field("license"),
		Formats: []string{"gguf", "safetensors"}, Licenses: licenseOptions(),
	}
	for l := openness.Unclear; l <= openness.OpenSource; l++ {
		p.Levels = append(p.Levels, l)
		if field("openness") == strconv.Itoa(int(l)) {
			p.Openness = l
		}
	}
	p.Query = field("q")
	p.Filtered = p.Query != "" || p.Architecture != "" || p.Format != "" || p.License != "" || p.Openness > 0
	if p.Query != "" {
		p.Title = p.Query + " – search"
	}
	if p.Format != "" && !slices.Contains(p.Formats, p.Format) {
		p.Formats = append(p.Formats, p.Format)
	}
	if p.License != "" && !slices.ContainsFunc(p.Licenses, func(o licenseOption) bool { return o.SPDX == p.License }) {
		p.Licenses = append(slices.Clone(p.Licenses), licenseOption{p.License, p.License})
	}
	number, err := strconv.Atoi(c.QueryParam("page"))
	if err != nil || number < 1 {
		number = 1
	}
	number = min(number, maxPage)
	list, total, err := h.models.Models(c.Request().Context(), h.principal(c), registry.ModelQuery{
		Text: p.Query, Architecture: p.Architecture, Format: p.Format, License: p.License, Openness: int(p.Openness),
		Limit: modelsPerPage, Offset: (number - 1) * modelsPerPage,
	})
	if err != nil {
		return err
	}
	p.Total = total
	for _, m := range list {
		p.Models = append(p.Models, h.modelRow(m))
		if f := m.Latest.Facts; f != nil && f.Architecture != "" && !slices.Contains(p.Architectures, f.Architecture) {
			p.Architectures = append(p.Architectures, f.Architecture)
		}
	}
	slices.Sort(p.Architectures)
	if len(list) > 0 {
		p.From = (number-1)*modelsPerPage + 1
		p.To = p.From + len(list) - 1
	}
	if number > 1 {
		p.Previous = p.url(number - 1)
	}
	if p.To > 0 && p.To < total {
		p.Next = p.url(number + 1)
	}
	if total == 0 && !p.Filtered {
		p.Push = h.pushCommands(c)
	}
	return h.render(c, http.StatusOK, h.pages.home, p)
}

// url is the address of another page of the same list.
func (p homePage) url(number int) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": p.Query, "architecture": p.Architecture, "format": p.Format, "license": p.License} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Openness > 0 {
		q.Set("openness", strconv.Itoa(int(p.Openness)))
	}
	if number > 1 {
		q.Set("page", strconv.Itoa(number))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

func (h *Handler) modelRow(m registry.ModelSummary) modelRow {
	org, model, ok := strings.Cut(string(m.Name), "/")
	if !ok {
		org, model = "", string(m.Name)
	}
	r := modelRow{
		Org: org, Model: model, Size: m.Latest.Size, Openness: opennessOf(m.Latest.Assessment), Verification: badgeOf(m.Latest.Verification), Updated: h.moment(m.UpdatedAt),
	}
	if hasPage(m.Name) {
		r.URL = modelURL(m.Name, "", "")
	}
	if f := m.Latest.Facts; f != nil {
		r.Summary = f.Card.Summary
		r.License = licenseOf(f).Label
		for _, s := range []string{f.Architecture, parameters(f), f.Quantization, f.Format} {
			if s != "" {
				r.Chips = append(r.Chips, s)
			}
		}
	} else if r.Summary = "The files are being inspected."; m.Latest.FactsError != "" {
		r.Summary = "The files could not be inspected."
	}
	return r
}

// opennessOf says in a few words what was found of a version's openness and terms.
func opennessOf(a *registry.AssessmentSummary) string {
	if a == nil {
		return ""
	}
	s := openness.Level(a.Verified).String()
	switch {
	case a.Errors == 1:
		s += ", 1 contradiction"
	case a.Errors > 1:
		s += ", " + strconv.Itoa(a.Errors) + " contradictions"
	}
	return s
}

func parameters(f *registry.Facts) string {
	if f.Parameters <= 0 {
		return ""
	}
	return formatCount(f.Parameters) + " parameters"
}

// licenseOptions are the licences that a search can ask for.
var licenseOptions = sync.OnceValue(func() []licenseOption {
	var list []licenseOption
	for _, l := range licenses.All() {
		newest, _ := licenses.Lookup(l.ID)
		if l != newest || l.SameAs != "" || l.Source == licenses.SourceList {
			continue
		}
		for _, id := range append([]string{l.SPDX}, l.Variants...) {
			name := l.Name
			if !strings.HasPrefix(id, "LicenseRef-") {
				name = id
			}
			list = append(list, licenseOption{id, name})
		}
	}
	slices.SortFunc(list, func(a, b licenseOption) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list
})
