package hub

import (
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
	list, err := h.directory.Members(c.Request().Context(), string(n))
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
	if err := h.directory.SetRole(c.Request().Context(), string(n), c.Param("user"), body.Role); err != nil {
		return directoryError(err)
	}
	return answer(c, auth.Member{User: c.Param("user"), Role: body.Role})
}

func (h *Handler) deleteMember(c echo.Context) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	if err := h.directory.SetRole(c.Request().Context(), string(n), c.Param("user"), auth.NoRole); err != nil {
		return directoryError(err)
	}
	return c.NoContent(http.StatusNoContent)
}
