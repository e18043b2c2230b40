package hub

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Directory keeps organizations and who belongs to them.
type Directory interface {
	auth.OrgStore
	auth.RoleStore
	auth.TeamStore
	auth.RobotStore
}

// Limits of names and texts in bytes.
const (
	maxAccountName = 64
	maxDescription = 2000
)

// orgPost is the body of POST /api/v1/orgs, orgPatch that of PATCH of one.
type (
	orgPost struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Owner       string `json:"owner"` // "" for the caller
	}
	orgPatch struct {
		Description string `json:"description"`
	}
)

// orgShown is an organization as the caller sees it.
type orgShown struct {
	auth.Org
	Role auth.Role `json:"role,omitempty"` // of the caller in the organization itself
}

func (h *Handler) registerOrgs(e *echo.Echo) {
	e.GET("/api/v1/orgs", h.listOrgs)
	e.POST("/api/v1/orgs", h.createOrg)
	e.GET("/api/v1/orgs/:org", h.org)
	e.PATCH("/api/v1/orgs/:org", h.describeOrg)
	e.DELETE("/api/v1/orgs/:org", h.deleteOrg)
	for _, path := range []string{"/api/v1/orgs/:org/members", "/api/v1/models/:org/:name/members"} {
		e.GET(path, h.members)
		e.PUT(path+"/:user", h.setMember)
		e.DELETE(path+"/:user", h.deleteMember)
	}
	h.registerTeams(e)
	h.registerRobots(e)
}

// accountName checks the name of a user, an organization, a team or a robot.
// Errors: server.CodeRequestInvalid.
func accountName(name string) error {
	if _, err := registry.ParseName(name); err != nil || strings.Contains(name, "/") || len(name) > maxAccountName {
		return registry.Errorf(server.CodeRequestInvalid, "a name has at most %d lower-case letters and digits, with single . _ or - between them", maxAccountName)
	}
	return nil
}

// namespace is accountName for what becomes a name space.
func namespace(name string) error {
	if err := accountName(name); err != nil {
		return err
	}
	if auth.Reserved(name) {
		return registry.Errorf(server.CodeConflict, "the name %s is reserved", name)
	}
	return nil
}

// listOrgs answers the organizations in which the caller has a role, or all
// there are to administrators.
func (h *Handler) listOrgs(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	user := p.UserID
	if p.Admin {
		user = 0
	}
	found, err := h.directory.Orgs(c.Request().Context(), user)
	if err != nil {
		return err
	}
	list := make([]orgShown, len(found))
	for i, o := range found {
		list[i] = orgShown{o, p.Roles[o.Name]}
	}
	return answer(c, map[string][]orgShown{"orgs": list})
}

func (h *Handler) createOrg(c echo.Context) error {
	p, ctx := h.access.Principal(c), c.Request().Context()
	if err := auth.Administer(p); err != nil {
		return err
	}
	var body orgPost
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := namespace(body.Name); err != nil {
		return err
	}
	if len(body.Description) > maxDescription {
		return registry.Errorf(server.CodeRequestInvalid, "a description has at most %d bytes", maxDescription)
	}
	if body.Owner == "" {
		body.Owner = p.Name
	}
	if err := h.directory.CreateOrg(ctx, auth.Org{Name: body.Name, Description: body.Description}, body.Owner); err != nil {
		return directoryError(err)
	}
	return h.showOrg(c, http.StatusCreated, body.Name)
}

func (h *Handler) org(c echo.Context) error {
	n, err := h.overseen(c, auth.Pull)
	if err != nil {
		return err
	}
	return h.showOrg(c, http.StatusOK, string(n))
}

func (h *Handler) showOrg(c echo.Context, status int, name string) error {
	o, err := h.directory.Org(c.Request().Context(), name)
	if err != nil {
		return directoryError(err)
	}
	shown := orgShown{o, h.access.Principal(c).Roles[name]}
	if status != http.StatusOK {
		return c.JSON(status, shown)
	}
	return answer(c, shown)
}

func (h *Handler) describeOrg(c echo.Context) error {
	n, err := h.overseen(c, auth.Maintain)
	if err != nil {
		return err
	}
	var body orgPatch
	if err := decode(c, &body); err != nil {
		return err
	}
	if len(body.Description) > maxDescription {
		return registry.Errorf(server.CodeRequestInvalid, "a description has at most %d bytes", maxDescription)
	}
	if err := h.directory.DescribeOrg(c.Request().Context(), string(n), body.Description); err != nil {
		return directoryError(err)
	}
	return h.showOrg(c, http.StatusOK, string(n))
}

func (h *Handler) deleteOrg(c echo.Context) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	if err := h.directory.DeleteOrg(c.Request().Context(), string(n)); err != nil {
		return directoryError(err)
	}
	return c.NoContent(http.StatusNoContent)
}

// overseen returns the organization or the model that the path names, if the
// caller may do the action there. Errors: those of auth.Allow, registry.CodeNameInvalid.
func (h *Handler) overseen(c echo.Context, a auth.Action) (registry.Name, error) {
	n, err := registry.ParseName(string(scope(c)))
	if err != nil {
		return "", err
	}
	return n, auth.Oversee(h.access.Principal(c), a, string(n))
}

// directoryError gives an error of a Directory the code that the client sees.
func directoryError(err error) error {
	for _, known := range []struct {
		err  error
		code registry.Code
	}{
		{auth.ErrUnknownScope, registry.CodeNameUnknown},
		{auth.ErrUnknownTeam, server.CodeNotFound},
		{auth.ErrUnknownRobot, server.CodeNotFound},
		{auth.ErrForeignScope, server.CodeRequestInvalid},
		{auth.ErrNamespaceTaken, server.CodeConflict},
		{auth.ErrNotEmpty, server.CodeConflict},
		{auth.ErrPersonal, server.CodeConflict},
		{auth.ErrTeamExists, server.CodeConflict},
		{auth.ErrRobotExists, server.CodeConflict},
		{auth.ErrLastOwner, server.CodeConflict},
		{auth.ErrLastAdmin, server.CodeConflict},
		{auth.ErrForeignRobot, server.CodeConflict},
	} {
		if errors.Is(err, known.err) {
			return registry.Wrap(err, known.code, known.err.Error())
		}
	}
	if errors.Is(err, auth.ErrUnknownUser) {
		return registry.Wrap(err, server.CodeNotFound, "there is no user of that name")
	}
	return err
}
