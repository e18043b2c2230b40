package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenLen is the longest token that is looked at, in bytes. The check
// comes before any parsing.
const MaxTokenLen = 8 << 10

// SeedLen is the length of a signing seed in bytes.
const SeedLen = ed25519.SeedSize

// leeway is how far the clocks of two nodes may differ.
const leeway = 5 * time.Second

// TokenOptions say what tokens are for.
type TokenOptions struct {
	Seed     []byte // SeedLen bytes, the same on all nodes; see UserStore.Secret
	Issuer   string // required
	Audience string // the service, required
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
}

// Signer issues access tokens: JWTs signed with EdDSA (RFC 8037) with the
// claims of the distribution token specification. It is safe for concurrent use.
type Signer struct {
	key      ed25519.PrivateKey
	kid      string
	issuer   string
	audience string
	now      func() time.Time
}

// Verifier turns access tokens back into principals. It is safe for concurrent use.
type Verifier struct {
	keys   map[string]ed25519.PublicKey // by key id
	parser *jwt.Parser
}

// claims are the claims of an access token. Their user is known by id and
// administrator flag, so that a request needs no look-up.
type claims struct {
	jwt.RegisteredClaims
	UserID int64   `json:"uid,omitempty"`
	Admin  bool    `json:"admin,omitempty"`
	Access []Scope `json:"access"`
}

// NewSeed returns a fresh random seed.
func NewSeed() []byte {
	seed := make([]byte, SeedLen)
	rand.Read(seed) // never fails since Go 1.24
	return seed
}

// NewSigner returns a signer. It fails for a seed of another length than
// SeedLen and for an empty issuer or audience.
func NewSigner(o TokenOptions) (*Signer, error) {
	if len(o.Seed) != SeedLen {
		return nil, fmt.Errorf("a signing seed has %d bytes, not %d", SeedLen, len(o.Seed))
	}
	if o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("tokens need an issuer and an audience")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	key := ed25519.NewKeyFromSeed(o.Seed)
	return &Signer{key: key, kid: keyID(public(key)), issuer: o.Issuer, audience: o.Audience, now: o.Clock}, nil
}

// Audience is the service that the tokens are for.
func (s *Signer) Audience() string { return s.audience }

// Token is an issued token.
type Token struct {
	Text     string
	IssuedAt time.Time
	TTL      time.Duration
}

// Sign issues a token that stands for p, limited to the scopes, for as long
// as ttl. It fails when the token would be longer than MaxTokenLen.
func (s *Signer) Sign(p Principal, scopes []Scope, ttl time.Duration) (Token, error) {
	if scopes == nil {
		scopes = []Scope{}
	}
	now := s.now().Truncate(time.Second)
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
	})
	t.Header["kid"] = s.kid
	text, err := t.SignedString(s.key)
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
		keys: map[string]ed25519.PublicKey{s.kid: public(s.key)},
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
func (v *Verifier) Verify(text string) (Principal, error) {
	if len(text) > MaxTokenLen {
		return Principal{}, fmt.Errorf("%w: token of %d bytes", ErrCredentials, len(text))
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(text, &c, v.key); err != nil {
		return Principal{}, fmt.Errorf("%w: %s", ErrCredentials, reason(err))
	}
	switch {
	case len(c.Audience) != 1:
		return Principal{}, fmt.Errorf("%w: token for several audiences", ErrCredentials)
	case len(c.Access) > MaxScopes:
		return Principal{}, fmt.Errorf("%w: token with %d scopes", ErrCredentials, len(c.Access))
	case c.UserID < 0, c.UserID == 0 && (c.Subject != "" || c.Admin):
		return Principal{}, fmt.Errorf("%w: token for nobody", ErrCredentials)
	}
	return Principal{UserID: c.UserID, Name: c.Subject, Admin: c.Admin, Limited: true, Scopes: c.Access}, nil
}

// forbidden are the header parameters that would bring a key of the sender's
// own, or change what the token means (RFC 7515, section 4.1).
var forbidden = []string{"jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "crit", "b64", "zip"}

// key returns our key of the token's key id, and looks nowhere else for one.
func (v *Verifier) key(t *jwt.Token) (any, error) {
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
	key, ok := v.keys[kid]
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

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(key[SeedLen:])
}

// keyID derives a key's id from the key, so that all nodes agree on it.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
