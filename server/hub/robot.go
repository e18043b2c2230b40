package hub

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

// robotMade is the answer of POST …/robots.
type robotMade struct {
	Name string `json:"name"`
	User string `json:"user"`
}

func (h *Handler) registerRobots(e *echo.Echo) {
	e.GET("/api/v1/orgs/:org/robots", h.robots)
	e.POST("/api/v1/orgs/:org/robots", h.createRobot)
	e.DELETE("/api/v1/orgs/:org/robots/:robot", h.deleteRobot)
	e.POST("/api/v1/orgs/:org/robots/:robot/tokens", h.createRobotToken)
	e.DELETE("/api/v1/orgs/:org/robots/:robot/tokens/:id", h.deleteRobotToken)
}

// robots answers the robots of an organization with their tokens to its owners.
func (h *Handler) robots(c echo.Context) error {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return err
	}
	list, err := h.directory.Robots(c.Request().Context(), string(n))
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].Roles == nil {
			list[i].Roles = auth.Roles{}
		}
		list[i].Tokens = append([]auth.AccessToken{}, list[i].Tokens...)
	}
	return answer(c, map[string][]auth.Robot{"robots": append([]auth.Robot{}, list...)})
}

func (h *Handler) createRobot(c echo.Context) error {
	n, name, err := h.account(c)
	if err != nil {
		return err
	}
	if err := h.directory.CreateRobot(c.Request().Context(), string(n), name); err != nil {
		return directoryError(err)
	}
	return c.JSON(http.StatusCreated, robotMade{name, auth.RobotName(string(n), name)})
}

func (h *Handler) deleteRobot(c echo.Context) error {
	return h.manage(c, func(org string) error { return h.directory.DeleteRobot(c.Request().Context(), org, c.Param("robot")) })
}

// robot returns the robot that the path names, if the caller may manage it.
func (h *Handler) robot(c echo.Context) (auth.Robot, error) {
	n, err := h.overseen(c, auth.Manage)
	if err != nil {
		return auth.Robot{}, err
	}
	r, err := h.directory.Robot(c.Request().Context(), string(n), c.Param("robot"))
	return r, directoryError(err)
}

func (h *Handler) createRobotToken(c echo.Context) error {
	r, err := h.robot(c)
	if err != nil {
		return err
	}
	return h.makeToken(c, r.ID)
}

func (h *Handler) deleteRobotToken(c echo.Context) error {
	r, err := h.robot(c)
	if err != nil {
		return err
	}
	return h.revokeToken(c, r.ID)
}
