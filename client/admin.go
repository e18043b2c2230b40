package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/registry"
)

// ErrNoCredentials is returned for what needs a user, when none is logged in.
var ErrNoCredentials = errors.New("nobody is logged in")

// Key is a public key under which a hub signs reports.
type Key struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	PEM       string    `json:"pem"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"` // when it was replaced
}

// Trustworthy reports whether answers come from the host itself, over TLS or
// without any network between.
func (h *Hub) Trustworthy() bool { return h.r.base.Scheme == "https" || IsLoopback(h.r.base.Host) }

// Keys returns the hub's keys as the hub shows them, the one in use first.
// Errors: ErrNoHub, *ResponseError.
func (h *Hub) Keys(ctx context.Context) ([]Key, error) {
	var list struct {
		Keys []Key `json:"keys"`
	}
	err := h.read(ctx, "/api/v1/keys", nil, &list)
	if err == nil && len(list.Keys) == 0 {
		err = ErrNoHub
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the keys of %s: %w", h.r.base.Host, err)
	}
	return list.Keys, nil
}

// RotateKey makes the hub sign with a fresh key and returns it.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RotateKey(ctx context.Context) (Key, error) {
	var k Key
	if err := h.change(ctx, http.MethodPost, "/api/v1/keys", struct{}{}, &k); err != nil {
		return Key{}, fmt.Errorf("replace the key of %s: %w", h.r.base.Host, err)
	}
	return k, nil
}

// Gate is what an organization does with pulls of versions that have not
// passed verification.
type Gate struct {
	Org  string `json:"org"`
	Gate string `json:"gate"` // "off", "warn" or "block"
	Own  bool   `json:"own"`  // it is the organization's own, not the hub's
}

func gatePath(org registry.Name) string { return "/api/v1/orgs/" + string(org) + "/verification-gate" }

// Gate returns the gate of an organization. Errors: ErrNoHub, *ResponseError.
func (h *Hub) Gate(ctx context.Context, org registry.Name) (Gate, error) {
	var g Gate
	err := h.read(ctx, gatePath(org), nil, &g)
	if err == nil && g.Gate == "" {
		err = ErrNoHub
	}
	if err != nil {
		return Gate{}, fmt.Errorf("fetch the gate of %s: %w", org, err)
	}
	return g, nil
}

// SetGate gives an organization a gate of its own, or the hub's when gate is
// "default". Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetGate(ctx context.Context, org registry.Name, gate string) (Gate, error) {
	var g Gate
	if err := h.change(ctx, http.MethodPut, gatePath(org), map[string]string{"gate": gate}, &g); err != nil {
		return Gate{}, fmt.Errorf("set the gate of %s: %w", org, err)
	}
	return g, nil
}

// change sends a change of the hub as a whole, which only administrators may
// make. It goes with user name and password, because tokens are for
// repositories. It is not tried again: an answer that was lost may have been
// that of a change that was made.
func (h *Hub) change(ctx context.Context, method, path string, body, into any) error {
	if h.r.c.opts.Credentials == nil {
		return ErrNoCredentials
	}
	cred, err := h.r.c.opts.Credentials.Get(ctx, credentials.ServerAddressFromRegistry(h.r.base.Host))
	if err != nil {
		return fmt.Errorf("read the credentials: %w", err)
	}
	if cred.Username == "" || cred.Password == "" {
		return ErrNoCredentials
	}
	p, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	u := h.r.base
	u.Path = path
	resp, err := h.r.send(ctx, request{
		method: method, url: &u, size: int64(len(p)), body: bytesBody(p),
		header: http.Header{
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))},
			"Content-Type":  {"application/json"}, "Accept": {"application/json"},
		},
	}, http.StatusOK, http.StatusCreated)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := readLimited(resp.Body, maxHubAnswer)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(into); err != nil {
		return fmt.Errorf("%w: its answer is not of that form: %w", ErrNoHub, err)
	}
	return nil
}
