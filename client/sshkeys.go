package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// SSHKey is a key whose signature stands for its owner.
type SSHKey struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"createdAt"`
	LastUsedAt  time.Time `json:"lastUsedAt,omitzero"`
}

// AddSSHKey registers a public key, a line as in ~/.ssh/id_ed25519.pub.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) AddSSHKey(ctx context.Context, line string) (SSHKey, error) {
	var k SSHKey
	if err := h.change(ctx, http.MethodPost, "/api/v1/ssh-keys", map[string]string{"key": line}, &k); err != nil {
		return k, fmt.Errorf("register an SSH key: %w", err)
	}
	return k, nil
}

// SSHKeys lists one's own SSH keys. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SSHKeys(ctx context.Context) ([]SSHKey, error) {
	var list struct {
		Keys []SSHKey `json:"keys"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/ssh-keys", nil, &list); err != nil {
		return nil, fmt.Errorf("list SSH keys: %w", err)
	}
	return list.Keys, nil
}

// RemoveSSHKey takes an SSH key away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RemoveSSHKey(ctx context.Context, id int64) error {
	if err := h.change(ctx, http.MethodDelete, "/api/v1/ssh-keys/"+strconv.FormatInt(id, 10), nil, nil); err != nil {
		return fmt.Errorf("remove SSH key %d: %w", id, err)
	}
	return nil
}
