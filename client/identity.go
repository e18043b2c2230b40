package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// identityUser is the user name beside an access token that was exchanged: the
// token says whose it is.
const identityUser = "identity"

// Identity is what a hub gave for an identity token.
type Identity struct {
	Scope   string        // what it permits, as in the distribution token specification, with patterns
	Expires time.Duration // for how long
}

// LoginWithIdentity exchanges a token of an OpenID Connect issuer, such as that of a
// CI system, for an access token of the hub (RFC 8693), and stores that as the
// host's credentials. It is not tried again: an identity token is good once.
// Errors: ErrNoStore, ErrLoginRefused, ErrNoHub, *ResponseError.
func (c *Client) LoginWithIdentity(ctx context.Context, host, identityToken string) (Identity, error) {
	if c.opts.Credentials == nil {
		return Identity{}, ErrNoStore
	}
	got, err := c.exchange(ctx, host, identityToken)
	if err != nil {
		return Identity{}, fmt.Errorf("log in to %s by an identity token: %w", host, err)
	}
	cred := auth.Credential{Username: identityUser, Password: got.AccessToken}
	if err := c.opts.Credentials.Put(ctx, credentials.ServerAddressFromRegistry(host), cred); err != nil {
		return Identity{}, fmt.Errorf("store credentials of %s: %w", host, err)
	}
	c.mu.Lock()
	delete(c.remotes, host) // its tokens belong to whoever was logged in before
	c.mu.Unlock()
	return Identity{Scope: printable(got.Scope), Expires: time.Duration(got.ExpiresIn) * time.Second}, nil
}

// exchanged is the answer of a token exchange.
type exchanged struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

func (c *Client) exchange(ctx context.Context, host, identityToken string) (exchanged, error) {
	const typ = "urn:ietf:params:oauth:token-type:"
	form := url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":        {identityToken},
		"subject_token_type":   {typ + "id_token"},
		"requested_token_type": {typ + "access_token"},
	}
	r := c.newRemote(host, func(context.Context, string) (auth.Credential, error) { return auth.EmptyCredential, nil })
	resp, err := r.sendForm(ctx, "/token", form)
	if err != nil {
		return exchanged{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return exchanged{}, refused(r.responseError(http.MethodPost, resp))
	}
	defer resp.Body.Close()
	p, err := readLimited(resp.Body, maxHubAnswer)
	if err != nil {
		return exchanged{}, err
	}
	var got exchanged
	if err := json.Unmarshal(p, &got); err != nil || got.AccessToken == "" {
		return exchanged{}, fmt.Errorf("%w: its answer is not of that form", ErrNoHub)
	}
	return got, nil
}
