package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenLen is the longest token that is looked at, in bytes. The check
// comes before any parsing.
const MaxTokenLen = 8 << 10

// leeway is how far the clocks of two nodes may differ.
const leeway = 5 * time.Second

// TokenOptions say what tokens are for.
type TokenOptions struct {
	Keys     *Keys  // required
	Issuer   string // required
	Audience string // the service, required
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
}

// Signer issues access tokens: JWTs signed with EdDSA (RFC 8037) with the
// claims of the distribution token specification. It is safe for concurrent use.
type Signer struct {
	keys     *Keys
	issuer   string
	audience string
	now      func() time.Time
}

// Verifier turns access tokens back into principals. It is safe for concurrent use.
type Verifier struct {
	keys   *Keys
	parser *jwt.Parser
	now    func() time.Time
	seen   verified
}

// claims are the claims of an access token. Their user is known by id and
// administrator flag, so that a request needs no look-up.
type claims struct {
	jwt.RegisteredClaims
	UserID int64   `json:"uid,omitempty"`
	Admin  bool    `json:"admin,omitempty"`
	Access []Scope `json:"access"`
	// Roles are those of the user on what Access names, in its order, when the
	// token was issued. It is absent when there are none.
	Roles []Role `json:"roles,omitempty"`
}

// rolesFor returns the roles on what the scopes name, nil when there are none.
func rolesFor(r Roles, scopes []Scope) []Role {
	list, some := make([]Role, len(scopes)), false
	for i, s := range scopes {
		if s.Type == TypeRepository {
			list[i] = r.On(s.Name)
			some = some || list[i] > NoRole
		}
	}
	if !some {
		return nil
	}
	return list
}

// roles is the inverse of rolesFor.
func (c *claims) roles() Roles {
	if len(c.Roles) == 0 {
		return nil
	}
	r := make(Roles, len(c.Roles))
	for i, s := range c.Access {
		if s.Type == TypeRepository {
			r[s.Name] = c.Roles[i]
		}
	}
	return r
}

// NewSigner returns a signer. It fails without keys, issuer or audience.
func NewSigner(o TokenOptions) (*Signer, error) {
	if o.Keys == nil || o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("tokens need keys, an issuer and an audience")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Signer{keys: o.Keys, issuer: o.Issuer, audience: o.Audience, now: o.Clock}, nil
}

// Audience is the service that the tokens are for.
func (s *Signer) Audience() string { return s.audience }

// JWKS returns the keys that verify the tokens.
func (s *Signer) JWKS() map[string][]JWK { return s.keys.JWKS() }

// Token is an issued token.
type Token struct {
	Text     string
	IssuedAt time.Time
	TTL      time.Duration
}

// Sign issues a token that stands for p, limited to the scopes, for as long
// as ttl, but not longer than p's own credential holds. It fails when the token would be longer than MaxTokenLen, and for
// one that would outlive the keys.
func (s *Signer) Sign(p Principal, scopes []Scope, ttl time.Duration) (Token, error) {
	if ttl > s.keys.maxTTL {
		return Token{}, fmt.Errorf("a token for %s: the keys permit %s", ttl, s.keys.maxTTL)
	}
	if scopes == nil {
		scopes = []Scope{}
	}
	now := s.now().Truncate(time.Second)
	if !p.Until.IsZero() {
		ttl = min(ttl, p.Until.Sub(now).Truncate(time.Second))
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.issuer,
			Subject:   p.Name,
			Audience:  jwt.ClaimStrings{s.audience},
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
			ID:        rand.Text(),
		},
		UserID: p.UserID,
		Admin:  p.Admin,
		Access: scopes,
		Roles:  rolesFor(p.Roles, scopes),
	})
	key := s.keys.signing()
	t.Header["kid"] = key.id
	text, err := t.SignedString(key.private)
	if err != nil {
		return Token{}, fmt.Errorf("sign token: %w", err)
	}
	if len(text) > MaxTokenLen {
		return Token{}, fmt.Errorf("%w: the token would have %d bytes", ErrScope, len(text))
	}
	return Token{Text: text, IssuedAt: now, TTL: ttl}, nil
}

// Verifier returns a verifier of the tokens that s signs.
func (s *Signer) Verifier() *Verifier {
	return &Verifier{
		keys: s.keys, now: s.now,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithIssuer(s.issuer),
			jwt.WithAudience(s.audience),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithNotBeforeRequired(),
			jwt.WithStrictDecoding(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(s.now),
		),
	}
}

// Verify checks a token and returns the principal that it stands for, which
// is limited to the token's scopes. Every error wraps ErrCredentials and is
// safe to log: it holds nothing of the token.
func (v *Verifier) Verify(ctx context.Context, text string) (Principal, error) {
	if len(text) > MaxTokenLen {
		return Principal{}, fmt.Errorf("%w: token of %d bytes", ErrCredentials, len(text))
	}
	now := v.now()
	if t, ok := v.seen.get(text, now); ok {
		if _, ok := v.keys.find(t.key); ok {
			return t.principal, nil
		}
	}
	var c claims
	parsed, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) { return v.key(ctx, t) })
	if err != nil {
		return Principal{}, fmt.Errorf("%w: %s", ErrCredentials, reason(err))
	}
	switch {
	case len(c.Audience) != 1:
		return Principal{}, fmt.Errorf("%w: token for several audiences", ErrCredentials)
	case len(c.Access) > MaxScopes:
		return Principal{}, fmt.Errorf("%w: token with %d scopes", ErrCredentials, len(c.Access))
	case len(c.Roles) > 0 && len(c.Roles) != len(c.Access):
		return Principal{}, fmt.Errorf("%w: token with %d roles for %d scopes", ErrCredentials, len(c.Roles), len(c.Access))
	case c.UserID < 0, c.UserID == 0 && (c.Subject != "" || c.Admin):
		return Principal{}, fmt.Errorf("%w: token for nobody", ErrCredentials)
	}
	t := verifiedToken{
		principal: Principal{UserID: c.UserID, Name: c.Subject, Admin: c.Admin, Roles: c.roles(), Limited: true, Scopes: c.Access},
		from:      c.NotBefore.Add(-leeway), until: c.ExpiresAt.Add(leeway),
	}
	if c.IssuedAt != nil && c.IssuedAt.After(c.NotBefore.Time) {
		t.from = c.IssuedAt.Add(-leeway)
	}
	t.key, _ = parsed.Header["kid"].(string) // it is one, or there had been no key
	v.seen.put(text, t, now)
	return t.principal, nil
}

// forbidden are the header parameters that would bring a key of the sender's
// own, or change what the token means (RFC 7515, section 4.1).
var forbidden = []string{"jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "crit", "b64", "zip"}

// key returns our key of the token's key id, and looks nowhere else for one.
func (v *Verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	for _, name := range forbidden {
		if _, ok := t.Header[name]; ok {
			return nil, errHeader
		}
	}
	if typ, ok := t.Header["typ"]; ok && typ != "JWT" {
		return nil, errHeader
	}
	kid, ok := t.Header["kid"].(string)
	if !ok {
		return nil, errKey
	}
	key, ok := v.keys.verifying(ctx, kid)
	if !ok {
		return nil, errKey
	}
	return key, nil
}

var (
	errHeader = errors.New("header parameter not allowed")
	errKey    = errors.New("unknown key")
)

// reason names why a token was refused in words of our own, because the
// parser's errors may quote the token.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		text string
	}{
		{errHeader, "token header parameter not allowed"},
		{errKey, "token of an unknown key"},
		{jwt.ErrTokenMalformed, "malformed token"},
		{jwt.ErrTokenSignatureInvalid, "token signature is wrong"},
		{jwt.ErrTokenUnverifiable, "token cannot be verified"},
		{jwt.ErrTokenExpired, "token has expired"},
		{jwt.ErrTokenNotValidYet, "token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "token is not issued yet"},
		{jwt.ErrTokenInvalidIssuer, "token of another issuer"},
		{jwt.ErrTokenInvalidAudience, "token for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "token lacks a claim"},
	} {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	return "invalid token"
}
