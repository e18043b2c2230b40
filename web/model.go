package web

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/registry"
)

// defaultTag is the tag that a page without a chosen version shows, when there is one.
const defaultTag = registry.Tag("latest")

// The tabs of a model, as they stand in the path; the card's is empty.
const (
	tabCard         = ""
	tabFiles        = "files"
	tabTags         = "tags"
	tabLicense      = "license"
	tabVerification = "verification"
	tabTerms        = "terms" // no tab, a page of its own
	tabProvenance   = "provenance"
)

// modelPage is what all tabs of a model show.
type modelPage struct {
	page
	Org, Model   string
	OrgURL       string
	Visibility   string // "" when it is public
	Ref          string // the tag or short digest of the version that is shown
	RefURL       string // all versions
	Digest       registry.Digest
	Size         int64
	FileCount    int
	Created      moment
	Verification badge
	Facts        *registry.Facts // nil while not known
	FactsError   string
	Pending      bool   // the files are being inspected
	Gate         string // what the gate says of the version, "" for nothing
	TermsURL     string // where its terms have to be accepted before a pull, "" for nowhere
	Blocked      bool   // others than those who may push it cannot pull it
	License      licenseLine
	Chips        []string
	Tabs         []tab
	Pull         []command
	Settings     []command // for maintainers
}

type tab struct {
	Label, URL string
	Current    bool
}

// licenseLine is the licence in the facts.
type licenseLine struct {
	Label    string // SPDX id, or the id as declared
	Known    bool
	Openness string
}

// shown is a version with what it takes to make its page.
type shown struct {
	grant      auth.Grant
	visibility auth.Visibility
	version    registry.Version
	ref        registry.Reference // by which it is shown and pulled
	chosen     string             // ?ref= as given, "" when none was
	admission  registry.Admission
}

// load finds the model and the version that a request asks for. A model that
// the caller may not see is answered as one that is not there. Errors:
// CodeNameUnknown, CodeManifestUnknown.
func (h *Handler) load(c echo.Context) (shown, error) {
	s, err := h.find(c)
	if err != nil {
		return shown{}, err
	}
	s.admission, err = h.models.Admission(c.Request().Context(), s.grant, s.version.Digest)
	return s, err
}

func (h *Handler) find(c echo.Context) (shown, error) {
	n, err := modelName(c)
	if err != nil {
		return shown{}, err
	}
	ctx := c.Request().Context()
	v, exists, err := h.models.Visibility(ctx, n)
	if err != nil {
		return shown{}, err
	}
	g, err := auth.Allow(h.principal(c), auth.Pull, auth.Resource{Repository: string(n), Visibility: v, Missing: !exists})
	if err != nil || !exists {
		return shown{}, registry.Errorf(registry.CodeNameUnknown, "there is no model %s", n)
	}
	s := shown{grant: g, visibility: v, chosen: c.QueryParam("ref")}
	if s.chosen != "" {
		if s.ref, err = registry.ParseReference(s.chosen); err != nil {
			// What cannot name a version names none.
			return shown{}, registry.Wrap(err, registry.CodeManifestUnknown, "there is no such version")
		}
		s.version, err = h.models.Version(ctx, g, s.ref)
		return s, err
	}
	s.ref = registry.Reference{Tag: defaultTag}
	s.version, err = h.models.Version(ctx, g, s.ref)
	if !registry.IsCode(err, registry.CodeManifestUnknown) {
		return s, err
	}
	list, err := h.models.Versions(ctx, g)
	if err != nil {
		return shown{}, err
	}
	if len(list) == 0 {
		return shown{}, registry.Errorf(registry.CodeManifestUnknown, "there is no version of %s", n)
	}
	s.version = list[0]
	s.ref = registry.Reference{Digest: s.version.Digest}
	if len(s.version.Tags) > 0 {
		s.ref = registry.Reference{Tag: s.version.Tags[0]}
	}
	return s, nil
}

// modelURL is the address of a tab of a model, of the version ref unless empty.
func modelURL(n registry.Name, tab, ref string) string {
	u := url.URL{Path: "/" + path.Join(string(n), tab)}
	if ref != "" {
		u.RawQuery = url.Values{"ref": {ref}}.Encode()
	}
	return u.String()
}

// VerificationURL is the path of the page with the verifications of a
// version, of the newest one when d is zero.
func VerificationURL(n registry.Name, d registry.Digest) string {
	return modelURL(n, tabVerification, d.String())
}

// LicenseURL is the path of the page with the licence of a version, of the
// newest one when d is zero.
func LicenseURL(n registry.Name, d registry.Digest) string {
	return modelURL(n, tabLicense, d.String())
}

// TermsURL is the path of the page on which the terms of a version are
// accepted, of the newest one when d is zero.
func TermsURL(n registry.Name, d registry.Digest) string { return modelURL(n, tabTerms, d.String()) }

// refLabel is a reference as people read it.
func refLabel(r registry.Reference) string {
	if r.Tag != "" {
		return string(r.Tag)
	}
	return shortDigest(r.Digest)
}

// visibilityLabel says who sees a model, "" for everybody.
func visibilityLabel(v auth.Visibility) string {
	switch v {
	case auth.Public:
		return ""
	case auth.Internal:
		return "Internal"
	}
	return "Private"
}

// modelPage fills in what all tabs show.
func (h *Handler) modelPage(c echo.Context, s shown, current string) modelPage {
	v := s.version
	n := registry.Name(s.grant.Repository())
	org, model, _ := n.Split()
	p := modelPage{
		page: h.newPage(c, string(n)), Org: org, Model: model,
		OrgURL: orgURL(org), Visibility: visibilityLabel(s.visibility),
		Ref: refLabel(s.ref), RefURL: modelURL(n, tabTags, ""),
		Digest: v.Digest, Size: v.Size, FileCount: len(v.Files), Created: h.moment(v.CreatedAt),
		Verification: badgeOf(v.Verification),
		Facts:        v.Facts, FactsError: v.FactsError,
		Pending: v.Facts == nil && v.FactsError == "",
		Pull:    h.pullCommands(c, n, s.ref),
	}
	if auth.Oversee(h.principal(c), auth.Maintain, string(n)) == nil {
		p.Settings = h.settingsCommands(c, n, s.visibility)
	}
	if s.admission.Consent {
		p.TermsURL = TermsURL(n, v.Digest)
	}
	switch a := s.admission; {
	case a.Refused:
		p.Gate, p.Blocked = "This version has not passed verification: until it does, only those who may push it can pull it.", true
	case a.Warned:
		p.Gate = "This version has not passed verification."
	}
	p.NoIndex = s.chosen != "" || p.Visibility != ""
	p.Refresh = p.Pending || p.Verification.Unfinished
	if f := v.Facts; f != nil {
		p.License = licenseOf(f)
		for _, text := range []string{f.Architecture, parameters(f), f.Quantization, f.Format, f.Card.Pipeline} {
			if text != "" {
				p.Chips = append(p.Chips, text)
			}
		}
	}
	for _, t := range tabs {
		if t.name == current && current != tabCard {
			p.Title += " – " + t.label
		}
		p.Tabs = append(p.Tabs, tab{t.label, modelURL(n, t.name, s.chosen), t.name == current})
	}
	return p
}

var tabs = []struct{ name, label string }{
	{tabCard, "Card"},
	{tabFiles, "Files"},
	{tabTags, "Versions"},
	{tabLicense, "Licence"},
	{tabVerification, "Verification"},
	{tabProvenance, "Provenance"},
}

// licenseOf names the licence of a version: what it is, or what was declared.
func licenseOf(f *registry.Facts) licenseLine {
	id := f.License.Declared
	if id == "" {
		id = f.Card.LicenseID
		if f.Card.LicenseName != "" {
			id = f.Card.LicenseName
		}
		return licenseLine{Label: id}
	}
	l, ok := licenses.Lookup(id)
	if !ok {
		return licenseLine{Label: id}
	}
	label := id
	if strings.HasPrefix(id, "LicenseRef-") {
		label = l.Name
	}
	return licenseLine{Label: label, Known: true, Openness: string(l.Openness())}
}

// cardPage is the tab of the README.
type cardPage struct {
	modelPage
	Card       rendered
	HasCard    bool
	LicenseURL string
	Bases      []string
	Details    []detail
}

// detail is one line of the facts panel.
type detail struct{ Name, Value, Exact string }

func (h *Handler) cardPage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	n := registry.Name(s.grant.Repository())
	p := cardPage{modelPage: h.modelPage(c, s, tabCard), LicenseURL: modelURL(n, tabLicense, s.chosen)}
	if f := s.version.Facts; f != nil {
		p.Details = details(f)
		for _, b := range f.Bases {
			p.Bases = append(p.Bases, b.Name)
		}
		if p.HasCard = strings.TrimSpace(f.Card.Body) != ""; p.HasCard {
			p.Card = h.cards.render(f.Card.Body, h.cardLinks(s))
		}
	}
	return h.render(c, http.StatusOK, h.pages.card, p)
}

// cardLinks leads a card's relative links to the version's files.
func (h *Handler) cardLinks(s shown) cardLinks {
	n := registry.Name(s.grant.Repository())
	files := make(map[string]bool, len(s.version.Files))
	for _, f := range s.version.Files {
		files[f.Path] = true
	}
	license := ""
	if s.version.Facts != nil {
		license = s.version.Facts.License.File
	}
	return cardLinks{
		context: strings.Join([]string{string(n), s.chosen, s.version.Digest.String(), license}, "\x00"),
		files: func(path string) string {
			switch {
			case path == "" || path == ".":
				return modelURL(n, tabFiles, s.chosen)
			case path == license:
				return modelURL(n, tabLicense, s.chosen)
			case files[path]:
				return modelURL(n, tabFiles, s.chosen) + "#" + url.PathEscape(fileID(path))
			}
			return ""
		},
	}
}

// details are the facts in the order in which the panel shows them.
func details(f *registry.Facts) []detail {
	var list []detail
	text := func(name, value string) {
		if value != "" {
			list = append(list, detail{Name: name, Value: value})
		}
	}
	number := func(name string, n int64) {
		if n > 0 {
			list = append(list, detail{Name: name, Value: formatGrouped(n)})
		}
	}
	text("Architecture", f.Architecture)
	if f.Parameters > 0 {
		list = append(list, detail{"Parameters", formatCount(f.Parameters), formatGrouped(f.Parameters)})
	}
	text("Quantization", f.Quantization)
	text("Format", f.Format)
	if f.ContextLength > 0 {
		list = append(list, detail{Name: "Context", Value: formatGrouped(f.ContextLength) + " tokens"})
	}
	number("Layers", f.Layers)
	number("Width", f.HiddenSize)
	number("Vocabulary", f.VocabSize)
	number("Tensors", f.Tensors)
	text("Tokenizer", f.Tokenizer)
	if f.ChatTemplate {
		text("Chat template", "yes")
	}
	text("Task", f.Card.Pipeline)
	text("Library", f.Card.Library)
	text("Languages", joinSome(f.Card.Languages))
	text("Datasets", joinSome(f.Card.Datasets))
	text("Topics", joinSome(f.Card.Tags))
	return list
}

// joinSome joins the first few entries of a list.
func joinSome(list []string) string {
	const most = 12
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}
