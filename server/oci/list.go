package oci

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// tags answers the tag list, sorted in byte order.
func (h *Handler) tags(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Pull)
	if err != nil {
		return err
	}
	p, err := parsePage(c)
	if err != nil {
		return err
	}
	var last registry.Tag
	if p.last != "" {
		if last, err = registry.ParseTag(p.last); err != nil {
			return err
		}
	}
	tags, more, err := h.reg.Tags(c.Request().Context(), g, last, p.n)
	if err != nil {
		return err
	}
	if more && len(tags) > 0 {
		setNext(c, url.Values{"n": {strconv.Itoa(len(tags))}, "last": {string(tags[len(tags)-1])}}.Encode())
	}
	return c.JSON(http.StatusOK, struct {
		Name registry.Name  `json:"name"`
		Tags []registry.Tag `json:"tags"`
	}{r.name, notNil(tags)})
}

// catalog lists the repositories that the caller may see.
func (h *Handler) catalog(c echo.Context, _ route) error {
	p, err := parsePage(c)
	if err != nil {
		return err
	}
	var last registry.Name
	if p.last != "" {
		if last, err = registry.ParseName(p.last); err != nil {
			return err
		}
	}
	if p.n < 0 {
		p.n = registry.MaxPage
	}
	names, more, err := h.reg.Repositories(c.Request().Context(), h.access.Principal(c), last, p.n)
	if err != nil {
		return err
	}
	if more && len(names) > 0 {
		setNext(c, url.Values{"n": {strconv.Itoa(p.n)}, "last": {string(names[len(names)-1])}}.Encode())
	}
	return c.JSON(http.StatusOK, struct {
		Repositories []registry.Name `json:"repositories"`
	}{notNil(names)})
}

// notNil makes an empty list of none, for JSON.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
