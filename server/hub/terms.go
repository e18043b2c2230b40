package hub

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// Consents are the terms that have to be accepted, and the log of who did.
type Consents interface {
	// TermsView returns the terms of a version, and whether they were accepted.
	TermsView(ctx context.Context, g auth.Grant, v *registry.Version) (*registry.TermsView, error)
	// Accept accepts them.
	Accept(ctx context.Context, g auth.Grant, v *registry.Version, told registry.Answers) (*registry.Acceptance, error)
	// OwnAcceptance returns the principal's newest acceptance for a model.
	OwnAcceptance(ctx context.Context, g auth.Grant) (*registry.Acceptance, error)
	// ConsentGates returns all gates; only administrators may.
	ConsentGates(ctx context.Context, p auth.Principal) (map[string]registry.ConsentGate, error)
	// SetConsentGate stores or takes away a gate; maintainers may.
	SetConsentGate(ctx context.Context, p auth.Principal, scope registry.Name, gate *registry.ConsentGate) error
	// AcceptanceLog returns entries of the log; only administrators may.
	AcceptanceLog(ctx context.Context, p auth.Principal, after int64, limit int) ([]registry.Acceptance, error)
	// AcceptancesOf returns those of the models of an organization, or one; maintainers may.
	AcceptancesOf(ctx context.Context, p auth.Principal, scope registry.Name, after int64, limit int) ([]registry.Acceptance, error)
	// DecideAcceptance decides about a pending one; maintainers may.
	DecideAcceptance(ctx context.Context, p auth.Principal, id int64, s registry.ConsentState) error
	// EraseParty forgets who a user was in the log; only administrators may.
	EraseParty(ctx context.Context, p auth.Principal, userID int64) (int64, error)
}

var _ Consents = (*registry.Registry)(nil)

func (h *Handler) registerTerms(e *echo.Echo) {
	e.GET("/api/v1/models/:org/:name/versions/:reference/terms", h.terms)
	e.POST("/api/v1/models/:org/:name/versions/:reference/terms", h.acceptTerms)
	e.GET("/api/v1/models/:org/:name/receipt", h.receipt)
	e.GET("/api/v1/terms-gates", h.termsGates)
	for _, path := range []string{"/api/v1/terms-gates/:org", "/api/v1/terms-gates/:org/:name"} {
		e.PUT(path, h.setTermsGate)
		e.DELETE(path, h.deleteTermsGate)
	}
	e.GET("/api/v1/acceptances", h.acceptances)
	e.POST("/api/v1/acceptances/:id", h.decideAcceptance)
	e.DELETE("/api/v1/users/:user/acceptances", h.eraseParty)
}

// terms answers the terms of a version.
func (h *Handler) terms(c echo.Context) error {
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	view, err := h.consents.TermsView(c.Request().Context(), g, &v)
	if err != nil {
		return err
	}
	return answer(c, view)
}

// acceptance is the body of a POST of terms.
type acceptance struct {
	Key    registry.Digest   `json:"termsKey"` // as GET answered it
	Fields map[string]string `json:"fields"`
}

// accepted is the answer.
type accepted struct {
	State   registry.ConsentState `json:"state"`
	Receipt registry.Receipt      `json:"receipt"`
}

// acceptTerms accepts the terms of a version.
func (h *Handler) acceptTerms(c echo.Context) error {
	v, g, err := h.granted(c, auth.Pull)
	if err != nil {
		return err
	}
	var body acceptance
	if err := decode(c, &body); err != nil {
		return err
	}
	a, err := h.consents.Accept(c.Request().Context(), g, &v,
		registry.Answers{Key: body.Key, Fields: body.Fields, Channel: "api", Address: h.access.Address(c)})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, accepted{a.State, a.Receipt()})
}

// receipt answers the receipt of the caller's newest acceptance for a model.
func (h *Handler) receipt(c echo.Context) error {
	n, err := name(c)
	if err != nil {
		return err
	}
	g, err := h.access.Authorize(c, n, auth.Pull)
	if err != nil {
		return err
	}
	a, err := h.consents.OwnAcceptance(c.Request().Context(), g)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="receipt.json"`)
	return answer(c, a.Receipt())
}

// termsGates lists all gates.
func (h *Handler) termsGates(c echo.Context) error {
	gates, err := h.consents.ConsentGates(c.Request().Context(), h.access.Principal(c))
	if err != nil {
		return err
	}
	return answer(c, map[string]any{"gates": gates})
}

// scope is the organization or the model of a gate.
func scope(c echo.Context) registry.Name {
	if n := c.Param("name"); n != "" {
		return registry.Name(c.Param("org") + "/" + n)
	}
	return registry.Name(c.Param("org"))
}

func (h *Handler) setTermsGate(c echo.Context) error {
	p := h.access.Principal(c)
	if err := auth.Oversee(p, auth.Maintain, string(scope(c))); err != nil { // before the body is read
		return err
	}
	var gate registry.ConsentGate
	if err := decode(c, &gate); err != nil {
		return err
	}
	if err := h.consents.SetConsentGate(c.Request().Context(), p, scope(c), &gate); err != nil {
		return err
	}
	return answer(c, gate)
}

func (h *Handler) deleteTermsGate(c echo.Context) error {
	if err := h.consents.SetConsentGate(c.Request().Context(), h.access.Principal(c), scope(c), nil); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// logEntry is an entry of the log as administrators see it.
type logEntry struct {
	ID      int64                 `json:"id"`
	State   registry.ConsentState `json:"state"`
	Name    registry.Name         `json:"name"`
	At      time.Time             `json:"at"`
	Hash    registry.Digest       `json:"hash"`
	Receipt registry.Receipt      `json:"receipt"`
}

// acceptances lists the log in its order, after an id: the whole one, or that of
// the models in a scope.
func (h *Handler) acceptances(c echo.Context) error {
	var after int64
	if s := c.QueryParam("after"); s != "" {
		var err error
		if after, err = strconv.ParseInt(s, 10, 64); err != nil {
			return registry.Errorf(server.CodeRequestInvalid, "after is the id of an entry")
		}
	}
	p, ctx := h.access.Principal(c), c.Request().Context()
	var list []registry.Acceptance
	var err error
	if scope := c.QueryParam("scope"); scope == "" {
		list, err = h.consents.AcceptanceLog(ctx, p, after, registry.MaxPage)
	} else {
		list, err = h.consents.AcceptancesOf(ctx, p, registry.Name(scope), after, registry.MaxPage)
	}
	if err != nil {
		return err
	}
	entries := make([]logEntry, len(list))
	for i, a := range list {
		entries[i] = logEntry{a.ID, a.State, a.Name, a.At, a.Hash, a.Receipt()}
	}
	return answer(c, map[string]any{"acceptances": entries})
}

func (h *Handler) decideAcceptance(c echo.Context) error {
	p, err := h.own(c) // before the body is read
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return registry.Errorf(server.CodeNotFound, "there is no such acceptance")
	}
	var body struct {
		State registry.ConsentState `json:"state"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := h.consents.DecideAcceptance(c.Request().Context(), p, id, body.State); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// eraseParty forgets who a user was in the log, which stays whole.
func (h *Handler) eraseParty(c echo.Context) error {
	p, ctx := h.access.Principal(c), c.Request().Context()
	if err := auth.Administer(p); err != nil {
		return err
	}
	u, err := h.users.User(ctx, c.Param("user"))
	if errors.Is(err, auth.ErrUnknownUser) {
		return registry.Errorf(server.CodeNotFound, "there is no such user")
	}
	if err != nil {
		return err
	}
	n, err := h.consents.EraseParty(ctx, p, u.ID)
	if err != nil {
		return err
	}
	return answer(c, map[string]int64{"erased": n})
}
