package hub

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// accountPost is the body that makes a team or a robot.
type accountPost struct {
	Name string `json:"name"`
}

func (h *Handler) registerTeams(e *echo.Echo) {
	e.GET("/api/v1/orgs/:org/teams", h.teams)
	e.POST("/api/v1/orgs/:org/teams", h.createTeam)
	e.DELETE("/api/v1/orgs/:org/teams/:team", h.deleteTeam)
	e.PUT("/api/v1/orgs/:org/teams/:team/members/:user", h.setTeamMember(true))
	e.DELETE("/api/v1/orgs/:org/teams/:team/members/:user", h.setTeamMember(false))
	e.PUT("/api/v1/orgs/:org/teams/:team/roles", h.setTeamRole)
	e.DELETE("/api/v1/orgs/:org/teams/:team/roles", h.deleteTeamRole)
}

// teams answers the teams of an organization to its members.
func (h *Handler) teams(c echo.Context) error {
	n, err := h.overseen(c, auth.Pull)
	if err != nil {
		return err
	}
	list, err := h.directory.Teams(c.Request().Context(), string(n))
	if err != nil {
		return err
	}
	return answer(c, map[string][]auth.Team{"teams": append([]auth.Team{}, list...)})
}

func (h *Handler) createTeam(c echo.Context) error {
	n, name, err := h.account(c)
	if err != nil {
		return err
	}
	if err := h.directory.CreateTeam(c.Request().Context(), string(n), name); err != nil {
		return directoryError(err)
	}
	return c.JSON(http.StatusCreated, accountPost{name})
}

// account returns the organization of the path, if the caller may manage it, and
// the name of the team or robot that the body wants made.
func (h *Handler) account(c echo.Context) (registry.Name, string, error) {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return "", "", err
	}
	var body accountPost
	if err := decode(c, &body); err != nil {
		return "", "", err
	}
	return n, body.Name, accountName(body.Name)
}

func (h *Handler) deleteTeam(c echo.Context) error {
	return h.manage(c, func(org string) error { return h.directory.DeleteTeam(c.Request().Context(), org, c.Param("team")) })
}

func (h *Handler) setTeamMember(in bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		return h.manage(c, func(org string) error {
			return h.directory.SetTeamMember(c.Request().Context(), org, c.Param("team"), c.Param("user"), in)
		})
	}
}

func (h *Handler) setTeamRole(c echo.Context) error {
	return h.manage(c, func(org string) error {
		var body auth.TeamRole
		if err := decode(c, &body); err != nil {
			return err
		}
		if body.Role == auth.NoRole {
			return registry.Wrap(auth.ErrRole, server.CodeRequestInvalid, auth.ErrRole.Error())
		}
		return h.directory.SetTeamRole(c.Request().Context(), org, c.Param("team"), body.Scope, body.Role)
	})
}

func (h *Handler) deleteTeamRole(c echo.Context) error {
	return h.manage(c, func(org string) error {
		return h.directory.SetTeamRole(c.Request().Context(), org, c.Param("team"), c.QueryParam("scope"), auth.NoRole)
	})
}

// manage does something to the organization of the path that its owners may do,
// and answers that it is done.
func (h *Handler) manage(c echo.Context, do func(org string) error) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	if err := do(string(n)); err != nil {
		return directoryError(err)
	}
	return c.NoContent(http.StatusNoContent)
}
