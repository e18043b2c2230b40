package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Words of RFC 8693.
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// Workloads exchange identity tokens for access tokens.
type Workloads interface {
	// Exchange returns a fresh access token. Errors: *auth.IdentityError, auth.ErrIssuer.
	Exchange(ctx context.Context, identityToken string) (auth.Exchanged, error)
}

var _ Workloads = (*auth.Workloads)(nil)

// exchangeAnswer is the answer of RFC 8693, section 2.2.1.
type exchangeAnswer struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	Scope       string `json:"scope"`      // with patterns for repositories
}

// exchangeIdentity is POST /token with a token of an OpenID Connect issuer that
// the administrator trusts. What it may be used for, the rules say: a scope that
// is asked for changes nothing. The form has been read.
func (s *Server) exchangeIdentity(c echo.Context) error {
	form := c.Request().PostForm
	if s.workloads == nil {
		return registry.Errorf(CodeRequestInvalid, "this hub trusts no issuers of identity tokens; see carat serve --workload-identities")
	}
	if t := form.Get("subject_token_type"); t != typeIDToken && t != typeJWT {
		return registry.Errorf(CodeRequestInvalid, "subject_token_type is %s or %s", typeIDToken, typeJWT)
	}
	if t := form.Get("requested_token_type"); t != "" && t != typeAccessToken {
		return registry.Errorf(CodeRequestInvalid, "requested_token_type is %s", typeAccessToken)
	}
	if form.Has("actor_token") {
		return registry.Errorf(CodeRequestInvalid, "an actor_token is not taken")
	}
	made, err := s.workloads.Exchange(c.Request().Context(), form.Get("subject_token"))
	var refused *auth.IdentityError
	switch {
	case errors.As(err, &refused):
		return registry.Wrap(err, registry.CodeUnauthorized, refused.Error())
	case errors.Is(err, auth.ErrIssuer):
		return registry.Wrap(err, registry.CodeUnavailable, auth.ErrIssuer.Error())
	case err != nil:
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	return c.JSON(http.StatusOK, exchangeAnswer{
		AccessToken: made.Text, IssuedType: typeAccessToken, TokenType: "Bearer",
		ExpiresIn: int(made.ExpiresAt.Sub(made.CreatedAt) / time.Second), Scope: scopeText(made.Scopes()),
	})
}
