package hub

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func (h *Handler) version(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	return answer(c, v)
}

// verification answers the newest one with its report, as far as it has come.
func (h *Handler) verification(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	found, err := h.verifications.Verification(c.Request().Context(), v.Name, v.Digest)
	if err != nil {
		return err
	}
	return answer(c, found)
}

// maxHistory is how many verifications of a version one answer lists.
const maxHistory = 50

// history is the answer of GET …/verifications.
type history struct {
	Verifications []verify.Verification `json:"verifications"`
}

// history answers all verifications of a version, newest first, without the
// results of their checks.
func (h *Handler) history(c echo.Context) error {
	v, err := h.find(c, auth.Pull)
	if err != nil {
		return err
	}
	list, err := h.verifications.Verifications(c.Request().Context(), v.Name, v.Digest, maxHistory)
	if err != nil {
		return err
	}
	for i, one := range list {
		if one.Report != nil {
			short := *one.Report
			short.Results, short.Files = []verify.Result{}, []verify.VerifiedFile{}
			list[i].Report = &short
		}
	}
	if list == nil {
		list = []verify.Verification{}
	}
	return answer(c, history{list})
}

// requestVerification begins another verification and says where to watch it.
func (h *Handler) requestVerification(c echo.Context) error {
	v, err := h.find(c, auth.Push)
	if err != nil {
		return err
	}
	begun, err := h.verifications.RequestVerification(c.Request().Context(), v.Name, v.Digest)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, fmt.Sprintf("/api/v1/models/%s/versions/%s/verification", v.Name, v.Digest))
	return c.JSON(http.StatusAccepted, begun)
}

// find returns the version that the path names, when the caller may do a to
// its model. Errors: registry.CodeManifestUnknown.
func (h *Handler) find(c echo.Context, a auth.Action) (registry.Version, error) {
	v, _, err := h.granted(c, a)
	return v, err
}

// granted is find with the grant.
func (h *Handler) granted(c echo.Context, a auth.Action) (registry.Version, auth.Grant, error) {
	n, err := name(c)
	if err != nil {
		return registry.Version{}, auth.Grant{}, err
	}
	ref, err := registry.ParseReference(c.Param("reference"))
	if err != nil {
		return registry.Version{}, auth.Grant{}, err
	}
	g, err := h.access.Authorize(c, n, a)
	if err != nil {
		return registry.Version{}, auth.Grant{}, err
	}
	v, err := h.models.Version(c.Request().Context(), g, ref)
	return v, g, err
}
