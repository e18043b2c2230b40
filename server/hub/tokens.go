package hub

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// tokenPost is the body of POST /api/v1/tokens.
type tokenPost struct {
	Name         string   `json:"name"`
	Access       string   `json:"access"`       // "read" or "write"
	Repositories []string `json:"repositories"` // patterns, none for all
	Expires      int64    `json:"expires"`      // in how many seconds, 0 for never
}

// tokenMade is the answer: the only time that the token is shown.
type tokenMade struct {
	auth.AccessToken
	Token string `json:"token"`
}

// own returns the caller, who must have come with all that they may do: a token
// makes no other tokens. Errors: those of auth.Allow.
func (h *Handler) own(c echo.Context) (auth.Principal, error) {
	p := h.access.Principal(c)
	_, err := auth.Allow(p, auth.Self, auth.Resource{})
	return p, err
}

func (h *Handler) createToken(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	return h.makeToken(c, p.UserID)
}

// makeToken makes the token of the body for a user and answers it.
func (h *Handler) makeToken(c echo.Context, userID int64) error {
	var body tokenPost
	if err := decode(c, &body); err != nil {
		return err
	}
	actions, ok := auth.ParseActions(body.Access)
	if !ok {
		return registry.Errorf(server.CodeRequestInvalid, "access is read or write")
	}
	repositories, err := auth.ParsePatterns(body.Repositories)
	if err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, "repositories are at most 16 of org/name, org/* or *")
	}
	if body.Name == "" || len(body.Name) > 100 {
		return registry.Errorf(server.CodeRequestInvalid, "a token has a name of at most 100 bytes")
	}
	const longest = 10 * 366 * 24 * 3600
	if body.Expires < 0 || body.Expires > longest {
		return registry.Errorf(server.CodeRequestInvalid, "expires is a number of seconds, of ten years at most")
	}
	text, hash := auth.NewAccessToken()
	now := time.Now().UTC().Truncate(time.Microsecond)
	t := auth.AccessToken{UserID: userID, Name: body.Name, Actions: actions, Repositories: repositories, CreatedAt: now}
	if body.Expires > 0 {
		t.ExpiresAt = now.Add(time.Duration(body.Expires) * time.Second)
	}
	t.ID, err = h.users.CreateAccessToken(c.Request().Context(), t, hash)
	if errors.Is(err, auth.ErrTooManyTokens) {
		return registry.Errorf(server.CodeConflict, "there are too many tokens; take some away first")
	}
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusCreated, tokenMade{t, text})
}

func (h *Handler) listTokens(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	list, err := h.users.AccessTokens(c.Request().Context(), p.UserID)
	if err != nil {
		return err
	}
	return answer(c, map[string][]auth.AccessToken{"tokens": list})
}

func (h *Handler) deleteToken(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	return h.revokeToken(c, p.UserID)
}

// revokeToken takes the token of a user away that the path names.
func (h *Handler) revokeToken(c echo.Context, userID int64) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err == nil {
		err = h.users.DeleteAccessToken(c.Request().Context(), userID, id)
	} else {
		err = auth.ErrUnknownToken
	}
	if errors.Is(err, auth.ErrUnknownToken) {
		return registry.Errorf(server.CodeNotFound, "there is no such token")
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// signOutEverywhere ends the sign-ins of the caller that programs keep.
func (h *Handler) signOutEverywhere(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	if err := h.users.DeleteRefreshTokens(c.Request().Context(), p.UserID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
