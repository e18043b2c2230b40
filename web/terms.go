package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// termsPage is the page on which terms are accepted.
type termsPage struct {
	modelPage
	View       *registry.TermsView
	Lists      []termList
	Fields     []termsField
	Heading    string
	About      string
	Prompt     string
	Button     string
	SignIn     string // where to sign in first, "" for who is
	ReceiptURL string
	Problem    string // why it was not accepted
}

// termsField is a field of the form.
type termsField struct {
	registry.ConsentField
	Name, Value string // of the input
}

// fieldPrefix keeps the fields of a gate apart from those of the form.
const fieldPrefix = "field."

// maxTermsForm is how many bytes the form may have.
const maxTermsForm = 64 << 10

func (h *Handler) termsPage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	return h.showTerms(c, http.StatusOK, s, "")
}

// acceptTerms takes the form and shows the page again.
func (h *Handler) acceptTerms(c echo.Context) error {
	r := c.Request()
	s, err := h.load(c)
	if err != nil {
		return err
	}
	if h.principal(c).Anonymous() {
		return auth.ErrUnauthenticated
	}
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxTermsForm)
	if err := r.ParseForm(); err != nil {
		return registry.Wrap(err, registry.CodeTermsInvalid, "the form cannot be read")
	}
	key, err := registry.ParseDigest(r.PostForm.Get("termsKey"))
	if err != nil {
		return registry.Wrap(err, registry.CodeTermsInvalid, "the form does not say which terms are accepted")
	}
	told := map[string]string{}
	for name, values := range r.PostForm {
		if field, ok := strings.CutPrefix(name, fieldPrefix); ok && len(values) > 0 {
			told[field] = values[0]
		}
	}
	if _, err = h.models.Accept(r.Context(), s.grant, &s.version, registry.Answers{Key: key, Fields: told, Channel: "web", Address: h.address(c)}); err != nil {
		var refused *registry.Error
		switch errors.As(err, &refused); {
		case refused != nil && refused.Code == registry.CodeTermsInvalid:
			return h.showTerms(c, http.StatusBadRequest, s, refused.Message)
		case refused != nil && refused.Code == registry.CodeTermsChanged:
			return h.showTerms(c, http.StatusConflict, s, "The terms have changed in the meantime. These are the new ones.")
		}
		return err
	}
	return c.Redirect(http.StatusSeeOther, TermsURL(s.version.Name, s.version.Digest))
}

func (h *Handler) showTerms(c echo.Context, status int, s shown, problem string) error {
	n := registry.Name(s.grant.Repository())
	p := termsPage{modelPage: h.modelPage(c, s, tabTerms), Problem: problem, Heading: "Terms of " + string(n), Button: "I accept these terms"}
	var err error
	if p.View, err = h.models.TermsView(c.Request().Context(), s.grant, &s.version); err != nil {
		return err
	}
	t := p.View.Statement
	for _, l := range []termList{{"You may", t.May}, {"You must", t.Must}, {"You must not", t.MustNot}} {
		if len(l.Items) > 0 {
			p.Lists = append(p.Lists, l)
		}
	}
	if g := p.View.Gate; g != nil {
		p.About, p.Prompt = g.Description, g.Prompt
		if g.Heading != "" {
			p.Heading = g.Heading
		}
		if g.Button != "" {
			p.Button = g.Button
		}
		for _, f := range g.Fields {
			p.Fields = append(p.Fields, termsField{f, fieldPrefix + f.Name, c.Request().PostForm.Get(fieldPrefix + f.Name)})
		}
	}
	if h.principal(c).Anonymous() {
		p.SignIn = "/login?next=" + url.QueryEscape(TermsURL(n, s.version.Digest))
	}
	if p.View.State != "" {
		p.ReceiptURL = "/api/v1/models/" + string(n) + "/receipt"
	}
	p.Title, p.NoIndex = "Terms of "+string(n), true
	return h.render(c, status, h.pages.terms, p)
}
