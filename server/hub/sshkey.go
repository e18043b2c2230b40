package hub

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// SSHKeys are the keys whose signatures stand for users.
type SSHKeys interface {
	// CreateSSHKey registers one. Errors: auth.ErrSSHKeyTaken, auth.ErrTooManySSHKeys.
	CreateSSHKey(ctx context.Context, k auth.SSHKey) (int64, error)
	// SSHKeys lists those of a user, the newest first.
	SSHKeys(ctx context.Context, userID int64) ([]auth.SSHKey, error)
	// DeleteSSHKey takes one away. Errors: auth.ErrUnknownSSHKey.
	DeleteSSHKey(ctx context.Context, userID, id int64) error
}

var _ SSHKeys = auth.SSHKeyStore(nil)

// sshKeyPost is the body of POST /api/v1/ssh-keys.
type sshKeyPost struct {
	Key string `json:"key"` // a line as in ~/.ssh/id_ed25519.pub; its comment is the name
}

// sshKeyShown is a key as its owner sees it.
type sshKeyShown struct {
	auth.SSHKey
	Fingerprint string `json:"fingerprint"` // SHA256:…
}

func (h *Handler) addSSHKey(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	var body sshKeyPost
	if err := decode(c, &body); err != nil {
		return err
	}
	k, err := auth.ParseSSHKey(body.Key)
	if err != nil {
		return registry.Wrap(err, server.CodeRequestInvalid, "key is a line that begins with ssh-ed25519, as in ~/.ssh/id_ed25519.pub")
	}
	k.UserID = p.UserID
	k.ID, err = h.sshKeys.CreateSSHKey(c.Request().Context(), k)
	switch {
	case errors.Is(err, auth.ErrSSHKeyTaken):
		return registry.Wrap(err, server.CodeConflict, "the key is registered already")
	case errors.Is(err, auth.ErrTooManySSHKeys):
		return registry.Wrap(err, server.CodeConflict, "there are too many SSH keys; take some away first")
	case err != nil:
		return err
	}
	return c.JSON(http.StatusCreated, map[string]any{"id": k.ID, "name": k.Name, "fingerprint": k.Fingerprint()})
}

func (h *Handler) listSSHKeys(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	list, err := h.sshKeys.SSHKeys(c.Request().Context(), p.UserID)
	if err != nil {
		return err
	}
	shown := make([]sshKeyShown, len(list))
	for i, k := range list {
		shown[i] = sshKeyShown{k, k.Fingerprint()}
	}
	return answer(c, map[string][]sshKeyShown{"keys": shown})
}

func (h *Handler) deleteSSHKey(c echo.Context) error {
	p, err := h.own(c)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err == nil {
		err = h.sshKeys.DeleteSSHKey(c.Request().Context(), p.UserID, id)
	} else {
		err = auth.ErrUnknownSSHKey
	}
	if errors.Is(err, auth.ErrUnknownSSHKey) {
		return registry.Errorf(server.CodeNotFound, "there is no such SSH key")
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
