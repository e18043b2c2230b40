package web

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// hostRE is what may stand as host in a command that people paste into a shell.
var hostRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)
})

// command is a line for a shell.
type command struct{ Label, Line string }

// host returns where clients reach the hub, and the flags that they need.
func (h *Handler) host(c echo.Context) (host, flags string) {
	u, err := url.Parse(h.baseURL(c))
	if err != nil || !hostRE().MatchString(u.Host) {
		u = &url.URL{Scheme: "http", Host: "localhost"}
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		flags = " --plain-http"
	}
	return u.Host, flags
}

// loopback reports whether clients take a host for one that needs no TLS.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pullCommands are the ways to fetch a version.
func (h *Handler) pullCommands(c echo.Context, n registry.Name, r registry.Reference) []command {
	host, flags := h.host(c)
	ref := host + "/" + string(n) + ":" + string(r.Tag)
	if r.Tag == "" {
		ref = host + "/" + string(n) + "@" + r.Digest.String()
	}
	_, model, _ := n.Split()
	return []command{
		{"Carat", "carat pull" + flags + " " + ref},
		{"ORAS", "oras pull" + flags + " -o " + model + " " + ref},
	}
}

// settingsCommands are the ways to change who may do what with a model.
func (h *Handler) settingsCommands(c echo.Context, n registry.Name, v auth.Visibility) []command {
	host, flags := h.host(c)
	other := auth.Private
	if v == auth.Private {
		other = auth.Internal
	}
	return []command{
		{"Visibility", "carat visibility" + flags + " " + host + " " + string(n) + " " + string(other)},
		{"Requests", "carat terms requests" + flags + " " + host + " " + string(n)},
	}
}

// pushCommands show how a first model gets here.
func (h *Handler) pushCommands(c echo.Context) []command {
	host, flags := h.host(c)
	return []command{
		{"Sign in", "carat login" + flags + " " + host},
		{"Push", strings.Join([]string{"carat push" + flags, "./my-model", host + "/my-org/my-model:latest"}, " ")},
	}
}
