package hub

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// memberPut is the body of PUT …/members/{user}.
type memberPut struct {
	Role auth.Role `json:"role"`
}

// memberList is the answer of GET …/members.
type memberList struct {
	Members []auth.Member `json:"members"`
}

func (h *Handler) registerMembers(e *echo.Echo) {
	for _, path := range []string{"/api/v1/orgs/:org/members", "/api/v1/models/:org/:name/members"} {
		e.GET(path, h.members)
		e.PUT(path+"/:user", h.setMember)
		e.DELETE(path+"/:user", h.deleteMember)
	}
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

// members answers who was given a role, to members of the organization and to
// the owners of the model.
func (h *Handler) members(c echo.Context) error {
	action := auth.Manage
	if c.Param("name") == "" {
		action = auth.Pull
	}
	n, err := h.overseen(c, action)
	if err != nil {
		return err
	}
	list, err := h.roles.Members(c.Request().Context(), string(n))
	if err != nil {
		return err
	}
	return answer(c, memberList{append([]auth.Member{}, list...)})
}

func (h *Handler) setMember(c echo.Context) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	var body memberPut
	if err := decode(c, &body); err != nil {
		return err
	}
	if body.Role == auth.NoRole {
		return registry.Wrap(auth.ErrRole, server.CodeRequestInvalid, auth.ErrRole.Error())
	}
	if err := h.roles.SetRole(c.Request().Context(), string(n), c.Param("user"), body.Role); err != nil {
		return roleError(err)
	}
	return answer(c, auth.Member{User: c.Param("user"), Role: body.Role})
}

func (h *Handler) deleteMember(c echo.Context) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	if err := h.roles.SetRole(c.Request().Context(), string(n), c.Param("user"), auth.NoRole); err != nil {
		return roleError(err)
	}
	return c.NoContent(http.StatusNoContent)
}

// roleError gives an error of an auth.RoleStore the code that the client sees.
func roleError(err error) error {
	switch {
	case errors.Is(err, auth.ErrUnknownUser):
		return registry.Wrap(err, server.CodeNotFound, "there is no user of that name")
	case errors.Is(err, auth.ErrUnknownScope):
		return registry.Wrap(err, registry.CodeNameUnknown, auth.ErrUnknownScope.Error())
	case errors.Is(err, auth.ErrLastOwner):
		return registry.Wrap(err, server.CodeConflict, auth.ErrLastOwner.Error())
	case errors.Is(err, auth.ErrForeignRobot):
		return registry.Wrap(err, server.CodeConflict, auth.ErrForeignRobot.Error())
	}
	return err
}
