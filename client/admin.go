package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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

// GateKind says what a gate is about.
type GateKind string

// The kinds.
const (
	VerificationGate GateKind = "verification-gate"
	LineageGate      GateKind = "lineage-gate" // versions that contradict the terms of what they were made from
)

func gatePath(org registry.Name, kind GateKind) string {
	return "/api/v1/orgs/" + string(org) + "/" + string(kind)
}

// Gate returns the gate of an organization. Errors: ErrNoHub, *ResponseError.
func (h *Hub) Gate(ctx context.Context, org registry.Name, kind GateKind) (Gate, error) {
	var g Gate
	err := h.read(ctx, gatePath(org, kind), nil, &g)
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
func (h *Hub) SetGate(ctx context.Context, org registry.Name, kind GateKind, gate string) (Gate, error) {
	var g Gate
	if err := h.change(ctx, http.MethodPut, gatePath(org, kind), map[string]string{"gate": gate}, &g); err != nil {
		return Gate{}, fmt.Errorf("set the gate of %s: %w", org, err)
	}
	return g, nil
}

// change sends a change, or a question, that needs a user. It goes with user
// name and password, because tokens are for repositories. It is not tried
// again: an answer that was lost may have been that of a change that was made.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) change(ctx context.Context, method, path string, body, into any) error {
	user, password, err := h.user(ctx)
	if err != nil {
		return err
	}
	if user == "" {
		return ErrNoCredentials
	}
	return h.do(ctx, method, path, user, password, body, into)
}

// call is change with whatever credentials there are, also none.
func (h *Hub) call(ctx context.Context, method, path string, body, into any) error {
	user, password, err := h.user(ctx)
	if err != nil {
		return err
	}
	return h.do(ctx, method, path, user, password, body, into)
}

// user returns the credentials for the hub, "" when there are none.
func (h *Hub) user(ctx context.Context) (name, password string, err error) {
	if h.r.c.opts.Credentials == nil {
		return "", "", nil
	}
	cred, err := h.r.c.opts.Credentials.Get(ctx, credentials.ServerAddressFromRegistry(h.r.base.Host))
	if err != nil {
		return "", "", fmt.Errorf("read the credentials: %w", err)
	}
	if cred.Username == "" || cred.Password == "" {
		return "", "", nil
	}
	return cred.Username, cred.Password, nil
}

// do sends one request. A nil body sends none, a nil into wants no answer.
func (h *Hub) do(ctx context.Context, method, path, user, password string, body, into any) error {
	r := request{method: method, header: http.Header{"Accept": {"application/json"}}}
	if user != "" {
		r.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	if body != nil {
		p, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		r.size, r.body = int64(len(p)), bytesBody(p)
		r.header.Set("Content-Type", "application/json")
	}
	below, err := url.Parse(path)
	if err != nil {
		return fmt.Errorf("address %q: %w", path, err)
	}
	u := h.r.base
	u.Path, u.RawPath, u.RawQuery = below.Path, below.RawPath, below.RawQuery
	r.url = &u
	resp, err := h.r.send(ctx, r, http.StatusOK, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := readLimited(resp.Body, maxHubAnswer)
	if err != nil || into == nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(into); err != nil {
		return fmt.Errorf("%w: its answer is not of that form: %w", ErrNoHub, err)
	}
	return nil
}
