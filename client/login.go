package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// ErrNoStore is returned by Login and Logout of a client without credentials.
var ErrNoStore = errors.New("the client has no credential store")

// ErrLoginRefused is returned when a registry does not take the credentials.
var ErrLoginRefused = errors.New("the registry refused the credentials")

// DockerCredentials returns Docker's credential store: the helpers that
// config.json in the folder names, or that file itself. Without a folder it is
// Docker's own, DOCKER_CONFIG or ~/.docker.
func DockerCredentials(folder string) (credentials.Store, error) {
	options := credentials.StoreOptions{AllowPlaintextPut: true, DetectDefaultNativeStore: true}
	var store credentials.Store
	var err error
	if folder == "" {
		store, err = credentials.NewStoreFromDocker(options)
	} else {
		store, err = credentials.NewStore(filepath.Join(folder, "config.json"), options)
	}
	if err != nil {
		return nil, fmt.Errorf("open Docker's credential store: %w", err)
	}
	return store, nil
}

// Login asks the registry whether it takes the credentials and stores them if
// it does. Errors: ErrNoStore, ErrLoginRefused, ErrForeignCredentials, ErrDowngrade, *ResponseError.
func (c *Client) Login(ctx context.Context, host, user, password string) error {
	if c.opts.Credentials == nil {
		return ErrNoStore
	}
	if user == "" || password == "" {
		return fmt.Errorf("log in to %s: user name and password must not be empty", host)
	}
	cred := auth.Credential{Username: user, Password: password}
	r := c.newRemote(host, func(context.Context, string) (auth.Credential, error) { return cred, nil })
	if err := r.ping(ctx); err != nil {
		return fmt.Errorf("log in to %s: %w", host, err)
	}
	if err := c.opts.Credentials.Put(ctx, credentials.ServerAddressFromRegistry(host), cred); err != nil {
		return fmt.Errorf("store credentials of %s: %w", host, err)
	}
	c.mu.Lock()
	delete(c.remotes, host) // its tokens belong to whoever was logged in before
	c.mu.Unlock()
	return nil
}

func (r *remote) ping(ctx context.Context) error {
	u := r.base
	u.Path = "/v2/"
	resp, err := r.try(ctx, nil, request{method: http.MethodGet, url: &u}, http.StatusOK)
	if err == nil {
		drain(resp)
		return nil
	}
	return refused(err)
}

// refused adds ErrLoginRefused to an error that means it.
func refused(err error) error {
	var answer *ResponseError
	if errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) {
		return fmt.Errorf("%w (%w)", ErrLoginRefused, err)
	}
	return err
}

// Logout removes the stored credentials of a host. Errors: ErrNoStore.
func (c *Client) Logout(ctx context.Context, host string) error {
	if c.opts.Credentials == nil {
		return ErrNoStore
	}
	if err := c.opts.Credentials.Delete(ctx, credentials.ServerAddressFromRegistry(host)); err != nil {
		return fmt.Errorf("remove credentials of %s: %w", host, err)
	}
	c.mu.Lock()
	delete(c.remotes, host)
	c.mu.Unlock()
	return nil
}
