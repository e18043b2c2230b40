package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Errors of LoginWithBrowser.
var (
	// ErrRefusedInBrowser says that the person refused.
	ErrRefusedInBrowser = errors.New("it was refused in the browser")
	// ErrBrowserTooLate says that nobody answered in time.
	ErrBrowserTooLate = errors.New("nobody answered in time")
)

// BrowserCode is what a person needs to sign a program in.
type BrowserCode struct {
	Code     string        // that the page asks for, or shows
	Address  string        // of the page
	WithCode string        // the same with the code in it, "" when the hub gives none
	Expires  time.Duration // how long there is time
}

// Limits of what a hub says of a sign-in by browser.
const (
	maxBrowserWait     = 30 * time.Minute
	minBrowserInterval = time.Second
	maxBrowserInterval = time.Minute
)

// LoginWithBrowser has a person sign in on the hub's pages (RFC 8628): show
// tells them where, and it returns when they have answered. The hub's refresh
// token is stored as the host's credentials. Errors: ErrNoStore, ErrNoHub,
// ErrRefusedInBrowser, ErrBrowserTooLate, *ResponseError, those of show.
func (c *Client) LoginWithBrowser(ctx context.Context, host string, show func(BrowserCode) error) error {
	if c.opts.Credentials == nil {
		return ErrNoStore
	}
	token, err := c.askBrowser(ctx, host, show)
	if err != nil {
		return fmt.Errorf("log in to %s by browser: %w", host, err)
	}
	if err := c.opts.Credentials.Put(ctx, credentials.ServerAddressFromRegistry(host), auth.Credential{RefreshToken: token}); err != nil {
		return fmt.Errorf("store credentials of %s: %w", host, err)
	}
	c.mu.Lock()
	delete(c.remotes, host) // its tokens belong to whoever was logged in before
	c.mu.Unlock()
	return nil
}

func (c *Client) askBrowser(ctx context.Context, host string, show func(BrowserCode) error) (refreshToken string, err error) {
	r := c.newRemote(host, func(context.Context, string) (auth.Credential, error) { return auth.EmptyCredential, nil })
	var begun struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		Address    string `json:"verification_uri"`
		WithCode   string `json:"verification_uri_complete"`
		ExpiresIn  int    `json:"expires_in"`
		Interval   int    `json:"interval"`
	}
	status, err := r.postForm(ctx, "/auth/device", url.Values{"client_id": {c.opts.UserAgent}}, &begun)
	switch {
	case err != nil && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return "", fmt.Errorf("%w: it signs no programs in by browser (%w)", ErrNoHub, err)
	case err != nil:
		return "", err
	case begun.DeviceCode == "" || begun.UserCode == "" || begun.Address == "":
		return "", fmt.Errorf("%w: its answer is not of that form", ErrNoHub)
	}
	life := min(max(time.Duration(begun.ExpiresIn)*time.Second, minBrowserInterval), maxBrowserWait)
	if err := show(BrowserCode{printable(begun.UserCode), printable(begun.Address), printable(begun.WithCode), life}); err != nil {
		return "", err
	}
	interval := min(max(time.Duration(begun.Interval)*time.Second, minBrowserInterval), maxBrowserInterval)
	for waited := time.Duration(0); waited < life; waited += interval {
		if err := c.opts.Sleep(ctx, interval); err != nil {
			return "", err
		}
		var answer struct {
			RefreshToken string `json:"refresh_token"`
			Error        string `json:"error"`
		}
		_, err := r.postForm(ctx, "/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {begun.DeviceCode}, "client_id": {c.opts.UserAgent},
		}, &answer)
		switch {
		case answer.Error == "authorization_pending":
		case answer.Error == "slow_down":
			interval = min(interval+5*time.Second, maxBrowserInterval) // RFC 8628, section 3.5
		case answer.Error == "access_denied":
			return "", ErrRefusedInBrowser
		case answer.Error == "expired_token":
			return "", ErrBrowserTooLate
		case err != nil:
			return "", err
		case answer.RefreshToken == "":
			return "", fmt.Errorf("%w: its answer has no token", ErrNoHub)
		default:
			return answer.RefreshToken, nil
		}
	}
	return "", ErrBrowserTooLate
}

// postForm posts a form without credentials and reads the JSON of the answer
// into v, that of a 400 too. It returns the status with an error of the hub.
func (r *remote) postForm(ctx context.Context, path string, form url.Values, v any) (status int, err error) {
	resp, err := r.sendForm(ctx, path, form)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
		return resp.StatusCode, r.responseError(http.MethodPost, resp)
	}
	defer resp.Body.Close()
	p, err := readLimited(resp.Body, maxHubAnswer)
	if err != nil {
		return resp.StatusCode, err
	}
	if json.Unmarshal(p, v) != nil {
		return resp.StatusCode, fmt.Errorf("%w: its answer is not of that form", ErrNoHub)
	}
	if resp.StatusCode == http.StatusBadRequest {
		return resp.StatusCode, &ResponseError{Method: http.MethodPost, URL: bareURL(resp.Request.URL), Status: resp.StatusCode, Message: printable(string(p[:min(len(p), 500)]))}
	}
	return resp.StatusCode, nil
}

// sendForm posts a form without credentials, and not by way of challenges:
// nothing else would help.
func (r *remote) sendForm(ctx context.Context, path string, form url.Values) (*http.Response, error) {
	u := r.base
	u.Path = path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", r.c.opts.UserAgent)
	resp, err := r.client.Client.Do(req)
	if err != nil {
		return nil, redact(err)
	}
	return resp, nil
}
