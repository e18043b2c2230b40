package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

// login asks for credentials, which the browser then sends with every page,
// and goes back to ?next=.
func (h *Handler) login(c echo.Context) error {
	if h.principal(c).Anonymous() {
		return auth.ErrUnauthenticated
	}
	return c.Redirect(http.StatusSeeOther, localPath(c.QueryParam("next")))
}

// localPath returns a path of this hub: p when it can be read as nothing
// else, or the home page.
func localPath(p string) string {
	other := strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' })
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || other {
		return "/"
	}
	return p
}
