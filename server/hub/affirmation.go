package hub

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Affirmations are the judgements of named reviewers that versions meet the
// Open Source AI Definition.
type Affirmations interface {
	// Affirmations returns those of a version, the oldest first.
	Affirmations(ctx context.Context, g auth.Grant, v *registry.Version) ([]registry.Affirmation, error)
	// Affirm signs one; only administrators may. Errors: registry.CodeTermsInvalid.
	Affirm(ctx context.Context, p auth.Principal, v *registry.Version, reviewer, reason string) (*registry.Affirmation, error)
	// Disaffirm takes one away; only administrators may. Errors: registry.CodeManifestUnknown.
	Disaffirm(ctx context.Context, p auth.Principal, v *registry.Version, reviewer string) error
}

var _ Affirmations = (*registry.Registry)(nil)

// affirmationPost is the body of POST …/affirmations.
type affirmationPost struct {
	Reviewer string `json:"reviewer"`
	Reason   string `json:"reason"`
}

func (h *Handler) listAffirmations(c echo.Context) error {
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	list, err := h.affirmations.Affirmations(c.Request().Context(), g, &v)
	if err != nil {
		return err
	}
	return answer(c, map[string][]registry.Affirmation{"affirmations": append([]registry.Affirmation{}, list...)})
}

func (h *Handler) affirm(c echo.Context) error {
	var body affirmationPost
	p, v, err := h.decided(c, administers, &body)
	if err != nil {
		return err
	}
	a, err := h.affirmations.Affirm(c.Request().Context(), p, &v, body.Reviewer, body.Reason)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a)
}

func (h *Handler) disaffirm(c echo.Context) error {
	p, v, err := h.decided(c, administers, nil)
	if err != nil {
		return err
	}
	if err := h.affirmations.Disaffirm(c.Request().Context(), p, &v, c.QueryParam("reviewer")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
