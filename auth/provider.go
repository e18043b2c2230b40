package auth

import (
	"bytes"
	"context"
	"crypto/subtle"
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
	"golang.org/x/oauth2"
)

// Limits on providers and what they say.
const (
	maxProviders     = 20
	maxGroupRoles    = 1000
	maxGroups        = 2000
	maxSignInCode    = 4 << 10 // bytes
	maxNameAttempts  = 20
	maxProviderNames = 64 // bytes of a name made from a claim
	// FlowLife is how long a sign-in at a provider may take.
	FlowLife = 10 * time.Minute
)

// ErrSignIn says that a sign-in at a provider was broken off, took too long or
// was begun elsewhere.
var ErrSignIn = errors.New("the sign-in at the provider did not come to its end")

// ProviderConfig is an OpenID provider at which people sign in.
type ProviderConfig struct {
	Name         string   `json:"name"`  // in addresses: letters, digits and -
	Title        string   `json:"title"` // on the page; the name when empty
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"-"`
	SecretFile   string   `json:"clientSecretFile"` // "" for a public client
	Scopes       []string `json:"scopes"`           // beside openid; profile and email when nil
	NameClaim    string   `json:"nameClaim"`        // of which a name is made; preferred_username when empty
	GroupsClaim  string   `json:"groupsClaim"`      // groups when empty
	// Roles are what the members of groups are. The provider decides of every
	// scope that is named: who is in none of its groups has no role there.
	Roles []GroupRole `json:"roles"`
}

// GroupRole is what the members of a provider's group are.
type GroupRole struct {
	Group string `json:"group"`
	Scope string `json:"scope"` // organization or repository
	Role  Role   `json:"role"`
}

// IdentityStore keeps whom providers know.
type IdentityStore interface {
	RoleStore
	// UserOfIdentity returns the user who signs in as the subject of an issuer.
	// Errors: ErrUnknownUser.
	UserOfIdentity(ctx context.Context, issuer, subject string) (User, error)
	// CreateUserOfIdentity makes a user without a password for a subject, or
	// returns who was made meanwhile. Errors: ErrUserExists, ErrNamespaceTaken.
	CreateUserOfIdentity(ctx context.Context, issuer, subject, name string) (User, error)
}

// Providers sign people in by OpenID Connect, code flow with PKCE. It is safe
// for concurrent use. Only the issuers are contacted, and where they say that
// their endpoints are.
type Providers struct {
	store IdentityStore
	now   func() time.Time
	list  []*provider
}

type provider struct {
	ProviderConfig
	fetcher *fetcher

	mu   sync.Mutex
	oidc *oidc.Provider // nil until it has told its endpoints
}

// Flow is a sign-in that was begun, as the browser keeps it meanwhile.
type Flow struct {
	Provider string    `json:"provider"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Begun    time.Time `json:"begun"`
}

// ParseProviders reads a file of providers: {"providers":[…]}.
func ParseProviders(text []byte) ([]ProviderConfig, error) {
	var file struct {
		Providers []ProviderConfig `json:"providers"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the providers: %w", err)
	}
	if d.More() {
		return nil, errors.New("read the providers: something follows the object")
	}
	return file.Providers, nil
}

var providerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`) })

// NewProviders checks the configuration. No provider is contacted yet. The
// clock is time.Now when it is nil.
func NewProviders(list []ProviderConfig, store IdentityStore, clock func() time.Time) (*Providers, error) {
	if len(list) > maxProviders {
		return nil, fmt.Errorf("more than %d providers", maxProviders)
	}
	p := &Providers{store: store, now: clock}
	if p.now == nil {
		p.now = time.Now
	}
	seen := map[string]bool{}
	for i, c := range list {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("provider %d: %w", i+1, err)
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("two providers are called %s", c.Name)
		}
		seen[c.Name] = true
		if c.Title == "" {
			c.Title = c.Name
		}
		if c.NameClaim == "" {
			c.NameClaim = "preferred_username"
		}
		if c.GroupsClaim == "" {
			c.GroupsClaim = "groups"
		}
		if c.Scopes == nil {
			c.Scopes = []string{"profile", "email"}
		}
		p.list = append(p.list, &provider{ProviderConfig: c, fetcher: newFetcher(c.Issuer, p.now)})
	}
	return p, nil
}

func (c *ProviderConfig) check() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case !providerName().MatchString(c.Name) || c.Name == "device":
		return errors.New("name has lower-case letters, digits and -, and is not device")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("issuer is an https URL; http is for loopback hosts")
	case c.ClientID == "":
		return errors.New("clientId is required")
	case len(c.Roles) > maxGroupRoles:
		return fmt.Errorf("more than %d roles", maxGroupRoles)
	}
	for _, r := range c.Roles {
		if r.Group == "" || r.Scope == "" || r.Role == NoRole {
			return errors.New("each of the roles has group, scope and role")
		}
	}
	return nil
}

// ProviderTitle is a provider as the page shows it.
type ProviderTitle struct{ Name, Title string }

// Titles lists the providers.
func (p *Providers) Titles() []ProviderTitle {
	if p == nil {
		return nil
	}
	list := make([]ProviderTitle, len(p.list))
	for i, x := range p.list {
		list[i] = ProviderTitle{x.Name, x.Title}
	}
	return list
}

func (p *Providers) find(name string) (*provider, error) {
	if p != nil {
		for _, x := range p.list {
			if x.Name == name {
				return x, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: no provider is called so", ErrSignIn)
}

// Begin begins a sign-in and returns the provider's address for it. redirect
// is where the provider sends the browser back to. Errors: ErrSignIn, ErrIssuer.
func (p *Providers) Begin(ctx context.Context, name, redirect, next string) (address string, f Flow, err error) {
	x, err := p.find(name)
	if err != nil {
		return "", f, err
	}
	o, err := x.discover(ctx)
	if err != nil {
		return "", f, err
	}
	f = Flow{Provider: name, State: randomText(43), Nonce: randomText(43), Verifier: oauth2.GenerateVerifier(), Next: next, Begun: p.now()}
	return x.oauth(o, redirect).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), f, nil
}

// Finish ends a sign-in with what the provider sent the browser back with, and
// returns who it is, with the roles of their groups. Errors: ErrSignIn,
// ErrIssuer, ErrCredentials, the store's.
func (p *Providers) Finish(ctx context.Context, f Flow, redirect, state, code string) (User, error) {
	x, err := p.find(f.Provider)
	switch {
	case err != nil:
		return User{}, err
	case f.State == "" || subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1:
		return User{}, fmt.Errorf("%w: it was not begun in this browser", ErrSignIn)
	case p.now().Sub(f.Begun) > FlowLife || p.now().Before(f.Begun.Add(-identityLeeway)):
		return User{}, fmt.Errorf("%w: it took too long", ErrSignIn)
	case code == "" || len(code) > maxSignInCode:
		return User{}, fmt.Errorf("%w: the provider sent no code", ErrSignIn)
	}
	o, err := x.discover(ctx)
	if err != nil {
		return User{}, err
	}
	who, err := x.exchange(ctx, o, f, redirect, code, p.now)
	if err != nil {
		return User{}, err
	}
	u, err := p.user(ctx, x, who)
	if err != nil {
		return User{}, err
	}
	if err := p.setRoles(ctx, x, u, who.groups); err != nil {
		return User{}, err
	}
	return p.store.UserOfIdentity(ctx, x.Issuer, who.subject) // with the roles of now
}

// discover asks the provider for its endpoints, once. Errors: ErrIssuer.
func (x *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.oidc != nil {
		return x.oidc, nil
	}
	// Keys are fetched later with the client of this context.
	o, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), x.fetcher.client()), x.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: read the configuration of %s: %w", ErrIssuer, x.Issuer, err)
	}
	x.oidc = o
	return o, nil
}

func (x *provider) oauth(o *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: x.ClientID, ClientSecret: x.ClientSecret, Endpoint: o.Endpoint(), RedirectURL: redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, x.Scopes...),
	}
}

// identity is what a provider says of somebody.
type identity struct {
	subject string
	name    string
	groups  []string
}

// exchange trades the code for what the provider says of the person.
func (x *provider) exchange(ctx context.Context, o *oidc.Provider, f Flow, redirect, code string, now func() time.Time) (identity, error) {
	ctx = oidc.ClientContext(ctx, x.fetcher.client())
	token, err := x.oauth(o, redirect).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var away *fetchError
		if errors.As(err, &away) && away.status == 0 {
			return identity{}, fmt.Errorf("%w: %w", ErrIssuer, err)
		}
		return identity{}, fmt.Errorf("%w: the provider does not take the code: %w", ErrSignIn, err)
	}
	text, _ := token.Extra("id_token").(string)
	if text == "" || len(text) > 4*maxIdentityToken {
		return identity{}, fmt.Errorf("%w: the provider gave no ID token", ErrCredentials)
	}
	id, err := o.VerifierContext(ctx, &oidc.Config{ClientID: x.ClientID, SupportedSigningAlgs: identityAlgorithms, Now: now}).Verify(ctx, text)
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1:
		return identity{}, fmt.Errorf("%w: the ID token is of another sign-in", ErrCredentials)
	case id.Subject == "" || len(id.Subject) > maxSubject:
		return identity{}, fmt.Errorf("%w: the ID token has no subject that can be read", ErrCredentials)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return identity{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	if _, ok := claims[x.NameClaim]; !ok && o.UserInfoEndpoint() != "" {
		// Many providers tell these things there only. go-oidc does not compare the subject.
		info, err := o.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return identity{}, fmt.Errorf("%w: ask who it is: %w", ErrIssuer, err)
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil || info.Subject != id.Subject {
			return identity{}, fmt.Errorf("%w: the provider speaks of somebody else", ErrCredentials)
		}
		for k, v := range more {
			if _, ok := claims[k]; !ok {
				claims[k] = v
			}
		}
	}
	name, _ := claims[x.NameClaim].(string)
	return identity{id.Subject, name, groupsOf(claims[x.GroupsClaim])}, nil
}

// groupsOf reads a claim with groups: a list of names, or one.
func groupsOf(claim any) (groups []string) {
	switch v := claim.(type) {
	case string:
		groups = []string{v}
	case []any:
		for _, g := range v {
			if s, ok := g.(string); ok && len(groups) < maxGroups {
				groups = append(groups, s)
			}
		}
	}
	return groups
}

// user returns the user of an identity, who is made when they come for the
// first time. Nothing but issuer and subject says who somebody is: names and
// addresses of e-mail can be anybody's.
func (p *Providers) user(ctx context.Context, x *provider, who identity) (User, error) {
	u, err := p.store.UserOfIdentity(ctx, x.Issuer, who.subject)
	if !errors.Is(err, ErrUnknownUser) {
		return u, err
	}
	base := nameFrom(who.name)
	if base == "" {
		base = nameFrom("user-" + who.subject)
	}
	for i := range maxNameAttempts {
		name := base
		if i > 0 {
			name = fmt.Sprintf("%s-%d", base, i+1)
		}
		if Reserved(name) {
			continue
		}
		u, err := p.store.CreateUserOfIdentity(ctx, x.Issuer, who.subject, name)
		if err == nil || !errors.Is(err, ErrUserExists) && !errors.Is(err, ErrNamespaceTaken) {
			return u, err
		}
	}
	return User{}, fmt.Errorf("%w: the name %s and those like it are taken", ErrSignIn, base)
}

// nameFrom makes a user's name of what a provider says: lower-case letters and
// digits with single dots, underscores or hyphens between them; of an address
// of e-mail what stands before the @. It returns "" where nothing is left.
func nameFrom(claim string) string {
	claim, _, _ = strings.Cut(claim, "@")
	var b strings.Builder
	gap := rune(0)
	for _, r := range strings.ToLower(claim) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if gap != 0 && b.Len() > 0 {
				b.WriteRune(gap)
			}
			gap = 0
			b.WriteRune(r)
		case gap == 0 && (r == '.' || r == '_'):
			gap = r
		case gap == 0:
			gap = '-'
		}
		if b.Len() >= maxProviderNames-4 { // room for "-20"
			break
		}
	}
	return b.String()
}

// rolesOf are what the members of groups are, by scope: of every scope that the
// provider decides of, with NoRole for none.
func rolesOf(rules []GroupRole, groups []string) Roles {
	roles := Roles{}
	for _, r := range rules {
		role := NoRole
		if slices.Contains(groups, r.Group) {
			role = r.Role
		}
		roles[r.Scope] = max(roles[r.Scope], role)
	}
	return roles
}

// setRoles gives and takes the roles of somebody's groups.
func (p *Providers) setRoles(ctx context.Context, x *provider, u User, groups []string) error {
	for scope, role := range rolesOf(x.Roles, groups) {
		members, err := p.store.Members(ctx, scope)
		if errors.Is(err, ErrUnknownScope) {
			continue // it may be made later
		}
		if err != nil {
			return err
		}
		is := NoRole
		for _, m := range members {
			if m.User == u.Name {
				is = m.Role
			}
		}
		if is == role {
			continue
		}
		err = p.store.SetRole(ctx, scope, u.Name, role)
		if err != nil && !errors.Is(err, ErrUnknownScope) && !errors.Is(err, ErrLastOwner) { // the last owner stays
			return err
		}
	}
	return nil
}
