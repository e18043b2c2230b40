package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Limits on identity tokens and rules.
const (
	maxIdentityToken    = 16 << 10 // bytes
	maxIdentityLife     = 24 * time.Hour
	maxWorkloadRules    = 1000
	maxWorkloadLifetime = 24 * time.Hour
	defaultWorkloadLife = time.Hour
	maxSubject          = 512 // bytes
	identityLeeway      = time.Minute
)

// identityAlgorithms are the signatures that are taken of issuers.
var identityAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// Errors of Workloads.
var (
	// ErrIssuer says that an issuer's keys cannot be had at the moment.
	ErrIssuer = errors.New("the issuer of the identity token cannot be reached")
	// ErrTokenUsed says that an identity token was exchanged before.
	ErrTokenUsed = errors.New("identity token was used already")
)

// IdentityError says why an identity token was refused, in words that its
// sender may read. It is an ErrCredentials.
type IdentityError struct{ Reason string }

// Error implements error.
func (e *IdentityError) Error() string { return "identity token refused: " + e.Reason }

// Unwrap returns ErrCredentials.
func (e *IdentityError) Unwrap() error { return ErrCredentials }

func refuseIdentity(format string, args ...any) error {
	return &IdentityError{fmt.Sprintf(format, args...)}
}

// WorkloadRule says for which OpenID Connect tokens of which issuer there is an
// access token, and what that permits.
type WorkloadRule struct {
	Issuer   string            `json:"issuer"`           // https URL, http only for loopback hosts
	Audience string            `json:"audience"`         // the only one of the token
	Subject  string            `json:"subject"`          // in which * stands for anything without / and :
	Claims   map[string]string `json:"claims,omitempty"` // that the token must have besides

	User         string   `json:"user"`         // whom the access token stands for
	Repositories []string `json:"repositories"` // patterns, see ParsePatterns; required
	Access       string   `json:"access"`       // see ParseActions
	Lifetime     string   `json:"lifetime"`     // of the access token, as in "90m"; an hour when empty, a day at most
}

// rule is a WorkloadRule that has been checked.
type rule struct {
	WorkloadRule
	subject  *regexp.Regexp
	actions  []Action
	lifetime time.Duration
}

// WorkloadStore is what Workloads need of a store.
type WorkloadStore interface {
	Users
	// ExchangeIdentity notes that the identity token with a hash was used, and
	// remembers it until it expires, and stores the access token that it is
	// exchanged for, both or none. Errors: ErrTokenUsed.
	ExchangeIdentity(ctx context.Context, identity []byte, expires time.Time, t AccessToken, hash []byte) (int64, error)
}

// WorkloadOptions are what Workloads are made of.
type WorkloadOptions struct {
	Rules []WorkloadRule
	Store WorkloadStore    // required
	Clock func() time.Time // time.Now when nil
}

// Workloads exchange identity tokens, which a CI system gives its jobs, for
// short-lived access tokens, so that nothing secret has to be stored there. It
// is safe for concurrent use. Only issuers of rules are contacted, and where they
// say that their keys are.
type Workloads struct {
	store   WorkloadStore
	now     func() time.Time
	issuers map[string]*issuer
}

// issuer is one whose tokens are taken, with the rules for them.
type issuer struct {
	url     string
	rules   []rule
	fetcher *fetcher

	mu   sync.Mutex
	keys oidc.KeySet // nil until the issuer has told where they are
}

// ParseWorkloadRules reads a file of rules: {"rules":[…]}.
func ParseWorkloadRules(text []byte) ([]WorkloadRule, error) {
	var file struct {
		Rules []WorkloadRule `json:"rules"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	if d.More() {
		return nil, errors.New("read the rules: something follows the object")
	}
	return file.Rules, nil
}

// NewWorkloads checks the rules. No issuer is contacted yet.
func NewWorkloads(o WorkloadOptions) (*Workloads, error) {
	if o.Store == nil {
		return nil, errors.New("workloads need a store")
	}
	if len(o.Rules) > maxWorkloadRules {
		return nil, fmt.Errorf("more than %d rules", maxWorkloadRules)
	}
	w := &Workloads{store: o.Store, now: o.Clock, issuers: make(map[string]*issuer)}
	if w.now == nil {
		w.now = time.Now
	}
	for i, r := range o.Rules {
		checked, err := r.check()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		known := w.issuers[r.Issuer]
		if known == nil {
			known = &issuer{url: r.Issuer, fetcher: newFetcher(r.Issuer, w.now)}
			w.issuers[r.Issuer] = known
		}
		known.rules = append(known.rules, checked)
	}
	return w, nil
}

// check refuses a rule that cannot work or that permits more than it seems to.
func (r WorkloadRule) check() (rule, error) {
	checked := rule{WorkloadRule: r, lifetime: defaultWorkloadLife}
	u, err := url.Parse(r.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return rule{}, errors.New("issuer is an https URL; http is for loopback hosts")
	}
	if r.Audience == "" || r.User == "" {
		return rule{}, errors.New("audience and user are required")
	}
	if r.Subject == "" || len(r.Subject) > maxSubject || r.Subject[0] == '*' {
		return rule{}, errors.New("subject is a pattern that does not begin with *")
	}
	part := strings.Split(r.Subject, "*")
	for i := range part {
		part[i] = regexp.QuoteMeta(part[i])
	}
	if checked.subject, err = regexp.Compile(`\A` + strings.Join(part, "[^/:]+") + `\z`); err != nil {
		return rule{}, fmt.Errorf("subject: %w", err)
	}
	if len(r.Repositories) == 0 {
		return rule{}, errors.New("repositories are required; * stands for all")
	}
	if _, err := ParsePatterns(r.Repositories); err != nil {
		return rule{}, err
	}
	var ok bool
	if checked.actions, ok = ParseActions(r.Access); !ok {
		return rule{}, errors.New("access is read or write")
	}
	if r.Lifetime != "" {
		if checked.lifetime, err = time.ParseDuration(r.Lifetime); err != nil || checked.lifetime < time.Minute || checked.lifetime > maxWorkloadLifetime {
			return rule{}, fmt.Errorf("lifetime is between a minute and %s", maxWorkloadLifetime)
		}
	}
	return checked, nil
}

// Exchanged is an access token that was given for an identity token.
type Exchanged struct {
	AccessToken
	Text string
}

// Scopes are what the token permits, with patterns for names.
func (e Exchanged) Scopes() []Scope { return e.scopes() }

// Exchange returns a fresh access token for an identity token that a rule
// permits. Each identity token is good once. Errors: *IdentityError, ErrIssuer,
// the store's.
func (w *Workloads) Exchange(ctx context.Context, text string) (Exchanged, error) {
	from, err := w.issuerOf(text)
	if err != nil {
		return Exchanged{}, err
	}
	token, err := w.verify(ctx, from, text)
	if err != nil {
		return Exchanged{}, err
	}
	r, err := from.choose(token)
	if err != nil {
		return Exchanged{}, err
	}
	u, err := w.store.User(ctx, r.User)
	if errors.Is(err, ErrUnknownUser) {
		return Exchanged{}, refuseIdentity("the rule for subject %q names a user who does not exist", token.Subject)
	}
	if err != nil {
		return Exchanged{}, fmt.Errorf("look up user: %w", err)
	}
	now := w.now().UTC().Truncate(time.Microsecond)
	made := Exchanged{AccessToken: AccessToken{
		UserID: u.ID, Name: "exchanged", Actions: r.actions, Repositories: r.Repositories,
		Identity: from.url + " " + token.Subject, CreatedAt: now, ExpiresAt: now.Add(r.lifetime),
	}}
	var hash []byte
	made.Text, hash = NewAccessToken()
	// What was signed is remembered, and not the signature: of some algorithms
	// others can be made of it.
	signed := text[:strings.LastIndexByte(text, '.')]
	made.ID, err = w.store.ExchangeIdentity(ctx, hashToken(signed), token.Expiry.Add(identityLeeway), made.AccessToken, hash)
	if errors.Is(err, ErrTokenUsed) {
		return Exchanged{}, refuseIdentity("it was exchanged before; each is good once")
	}
	return made, err
}

// issuerOf reads which issuer a token claims, and nothing else of it.
func (w *Workloads) issuerOf(text string) (*issuer, error) {
	if len(text) > maxIdentityToken {
		return nil, refuseIdentity("it is longer than %d bytes", maxIdentityToken)
	}
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return nil, refuseIdentity("it is no JSON Web Token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, refuseIdentity("it is no JSON Web Token")
	}
	known, ok := w.issuers[claims.Issuer]
	if !ok {
		return nil, refuseIdentity("its issuer is not one that this hub trusts")
	}
	return known, nil
}

// verify checks signature, issuer and times of a token.
func (w *Workloads) verify(ctx context.Context, from *issuer, text string) (*oidc.IDToken, error) {
	keys, err := from.keySet(ctx)
	if err != nil {
		return nil, err
	}
	watched := &watchedKeys{KeySet: keys}
	token, err := oidc.NewVerifier(from.url, watched, &oidc.Config{
		SkipClientIDCheck:    true, // each rule has its own
		SupportedSigningAlgs: identityAlgorithms, Now: w.now,
	}).Verify(ctx, text)
	var expired *oidc.TokenExpiredError
	var away *fetchError
	now := w.now()
	switch {
	case errors.As(watched.err, &away):
		return nil, fmt.Errorf("%w: %w", ErrIssuer, away)
	case errors.As(err, &expired):
		return nil, refuseIdentity("it has expired")
	case err != nil:
		return nil, refuseIdentity("its signature or its times are not right")
	case token.Issuer != from.url:
		return nil, refuseIdentity("it is of another issuer")
	case token.Expiry.Sub(now) > maxIdentityLife:
		return nil, refuseIdentity("it holds longer than %s", maxIdentityLife)
	case token.IssuedAt.After(now.Add(identityLeeway)) || now.Sub(token.IssuedAt) > maxIdentityLife:
		return nil, refuseIdentity("it is not of today")
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return nil, refuseIdentity("it has no subject that can be read")
	}
	return token, nil
}

// watchedKeys keeps the error of a key set, of which a verifier shows only the text.
type watchedKeys struct {
	oidc.KeySet
	err error
}

// VerifySignature implements oidc.KeySet.
func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.err = err
	return payload, err
}

// keySet returns the issuer's keys, once it has told where they are. Errors: ErrIssuer.
func (i *issuer) keySet(ctx context.Context) (oidc.KeySet, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.keys != nil {
		return i.keys, nil
	}
	ctx = oidc.ClientContext(ctx, i.fetcher.client())
	p, err := oidc.NewProvider(ctx, i.url)
	if err != nil {
		return nil, fmt.Errorf("%w: read the configuration of %s: %w", ErrIssuer, i.url, err)
	}
	var where struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&where); err != nil || where.JWKS == "" {
		return nil, fmt.Errorf("%w: the configuration of %s names no keys", ErrIssuer, i.url)
	}
	i.keys = oidc.NewRemoteKeySet(ctx, where.JWKS)
	return i.keys, nil
}

// choose returns the first rule that permits a token.
func (i *issuer) choose(t *oidc.IDToken) (rule, error) {
	if len(t.Audience) != 1 {
		return rule{}, refuseIdentity("it is for %d audiences, not for one", len(t.Audience))
	}
	var raw json.RawMessage
	claims := make(map[string]any)
	if err := t.Claims(&raw); err != nil {
		return rule{}, refuseIdentity("its claims cannot be read")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		return rule{}, refuseIdentity("its claims cannot be read")
	}
	if !slices.ContainsFunc(i.rules, func(r rule) bool { return r.Audience == t.Audience[0] }) {
		return rule{}, refuseIdentity("there is no rule for its audience")
	}
	for _, r := range i.rules {
		if r.Audience == t.Audience[0] && r.subject.MatchString(t.Subject) && has(claims, r.Claims) {
			return r, nil
		}
	}
	return rule{}, refuseIdentity("there is no rule for its subject %q with its claims", t.Subject)
}

// has reports whether claims include what is wanted, each as text.
func has(claims map[string]any, want map[string]string) bool {
	for name, text := range want {
		switch v := claims[name].(type) {
		case string:
			if v != text {
				return false
			}
		case json.Number, bool:
			if fmt.Sprint(v) != text {
				return false
			}
		default:
			return false
		}
	}
	return true
}
