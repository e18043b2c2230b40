package hfapi

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Limits of pages.
const (
	maxList   = 100     // models or commits in one answer
	maxOffset = 1 << 20 // entries or pages before one
	maxCursor = 1024    // bytes
)

func errParameter(name string) error {
	return registry.Errorf(server.CodeRequestInvalid, "the parameter %s cannot be read", name)
}

// limitOf returns how many entries the query asks for at most: of is for one
// that does not say, most the limit of them all.
func limitOf(c echo.Context, of, most int) (int, error) {
	s := c.QueryParam("limit")
	if s == "" {
		return of, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, errParameter("limit")
	}
	return int(max(min(n, int64(most)), 1)), nil
}

// linkNext says where the next page is: the request's own address with one
// parameter changed.
func (h *Handler) linkNext(c echo.Context, name, value string) {
	u := c.Request().URL
	q := u.Query()
	q.Set(name, value)
	escaped := strings.ReplaceAll(u.EscapedPath(), "%252F", "%2F") // see server.Unslash
	c.Response().Header().Set("Link", "<"+h.access.BaseURL(c)+escaped+"?"+q.Encode()+`>; rel="next"`)
}

// formatCursor writes the place of a model in a list as a parameter.
func formatCursor(at registry.ModelCursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", at.UpdatedAt.UnixMicro(), at.Name))
}

// parseCursor is the inverse of formatCursor.
func parseCursor(s string) (registry.ModelCursor, error) {
	if len(s) > maxCursor {
		return registry.ModelCursor{}, errParameter("cursor")
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return registry.ModelCursor{}, errParameter("cursor")
	}
	micros, name, _ := strings.Cut(string(text), " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return registry.ModelCursor{}, errParameter("cursor")
	}
	n, err := registry.ParseName(name)
	if err != nil {
		return registry.ModelCursor{}, errParameter("cursor")
	}
	return registry.ModelCursor{Name: n, UpdatedAt: time.UnixMicro(at).UTC()}, nil
}
