package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// modelsPerOrg is how many models the page of an organization lists.
const modelsPerOrg = 100

// Directory tells of organizations and who belongs to them.
type Directory interface {
	// Org returns an organization. Errors: auth.ErrUnknownScope.
	Org(ctx context.Context, name string) (auth.Org, error)
	// Members lists those who were given a role in an organization, by name.
	Members(ctx context.Context, scope string) ([]auth.Member, error)
	// Teams lists the teams of an organization, by name.
	Teams(ctx context.Context, org string) ([]auth.Team, error)
}

// orgPage shows an organization: to everybody the models that they may see, to
// members who else is one.
type orgPage struct {
	page
	Org      auth.Org
	Models   []modelRow
	Total    int
	Search   string // address of a list with all of them, "" when these are all
	IsMember bool
	Members  []auth.Member
	Teams    []auth.Team
	Manage   []command // for owners
}

// orgURL is the address of the page of an organization.
func orgURL(org string) string { return (&url.URL{Path: "/" + org}).String() }

// orgPage answers who may see neither a model there nor its members as if there
// was no such organization.
func (h *Handler) orgPage(c echo.Context) error {
	name, who, ctx := c.Param("org"), h.principal(c), c.Request().Context()
	unknown := registry.Errorf(registry.CodeNameUnknown, "there is no page at this address")
	if _, err := registry.ParseName(name); err != nil || strings.Contains(name, "/") || Reserved(name) {
		return unknown
	}
	org, err := h.directory.Org(ctx, name)
	if errors.Is(err, auth.ErrUnknownScope) {
		return unknown
	}
	if err != nil {
		return err
	}
	p := orgPage{page: h.newPage(c, name), Org: org, IsMember: auth.Oversee(who, auth.Pull, name) == nil}
	list, total, err := h.models.Models(ctx, who, registry.ModelQuery{Org: name, Limit: modelsPerOrg})
	if err != nil {
		return err
	}
	if total == 0 && !p.IsMember {
		return unknown
	}
	if p.Total = total; total > len(list) {
		p.Search = "/?" + url.Values{"q": {name}}.Encode()
	}
	for _, m := range list {
		p.Models = append(p.Models, h.modelRow(m))
	}
	if p.IsMember {
		if p.Members, err = h.directory.Members(ctx, name); err != nil {
			return err
		}
		if p.Teams, err = h.directory.Teams(ctx, name); err != nil {
			return err
		}
	}
	if auth.Oversee(who, auth.Manage, name) == nil {
		host, flags := h.host(c)
		p.Manage = []command{
			{"Give a role", "carat admin org grant" + flags + " " + host + " " + name + " USER writer"},
			{"Make a robot", "carat admin robot create" + flags + " " + host + " " + name + " ROBOT --role reader"},
		}
	}
	return h.render(c, http.StatusOK, h.pages.org, p)
}
