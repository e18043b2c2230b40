package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hfapi"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/server/oci"
	"github.com/carat-hub/carat/web"
)

const (
	tokenService = "carat"      // issuer and audience of access tokens
	tokenSecret  = "token-seed" // name of the signing seed among the hub's secrets
	adminName    = "admin"
)

// theHub is the assembled server: what newHub wires together.
type theHub struct {
	*backend
	server *server.Server
}

// newHub opens what lies below the HTTP edge and puts that on top.
func newHub(ctx context.Context, c serveConfig, getenv func(string) string, log *slog.Logger) (*theHub, error) {
	b, err := newBackend(ctx, c, getenv, log)
	if err != nil {
		return nil, err
	}
	h := &theHub{backend: b}
	if h.server, err = h.newServer(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *theHub) newServer(ctx context.Context) (*server.Server, error) {
	seed, err := h.store.Secret(ctx, tokenSecret, auth.NewSeed())
	if err != nil {
		return nil, fmt.Errorf("read the token seed: %w", err)
	}
	signer, err := auth.NewSigner(auth.TokenOptions{Seed: seed, Issuer: tokenService, Audience: tokenService})
	if err != nil {
		return nil, err
	}
	access := server.NewAccess(h.registry)
	pages, err := web.New(web.Options{
		Models: h.registry, Verifications: h.store,
		Principal: access.Principal, BaseURL: access.BaseURL, Address: access.Address, Version: buildVersion(),
	})
	if err != nil {
		return nil, err
	}
	return server.New(server.Options{
		Users: h.store, Tokens: h.store, Signer: signer, Repositories: h.registry,
		Routes: []server.Routes{
			oci.New(oci.Options{Registry: h.registry, RedirectFor: h.config.Redirect}),
			hfapi.New(hfapi.Options{Registry: h.registry, RedirectFor: h.config.Redirect}),
			hub.New(hub.Options{
				Models: h.registry, Verifications: h.store, Keys: h.signer, Gates: h.registry, Assessments: h.registry, Consents: h.registry, Lineages: h.registry, Policies: h.registry, Users: h.store,
				Origins: h.registry, Imports: h.recorder, Access: access,
			}),
			pages,
		},
		ErrorPage: pages.ErrorPage,
		Checks:    []server.Check{{Name: "database", Ping: h.db.Ping}, {Name: "blobs", Ping: h.blobs.Ping}},
		PublicURL: h.config.PublicURL, TrustProxy: h.config.TrustProxy, Grace: h.config.Grace, Logger: h.log,
	})
}

// ensureAdmin makes the user admin at the first start. It returns the
// password when it made one up.
func (h *theHub) ensureAdmin(ctx context.Context, given string) (made string, err error) {
	_, err = h.store.User(ctx, adminName)
	if !errors.Is(err, auth.ErrUnknownUser) {
		return "", err
	}
	password := given
	if password == "" {
		password = rand.Text()
		made = password
	}
	hash, err := auth.HashPassword(ctx, password)
	if err != nil {
		return "", err
	}
	_, err = h.store.CreateUser(ctx, auth.User{Name: adminName, PasswordHash: hash, Admin: true})
	if errors.Is(err, auth.ErrUserExists) {
		return "", nil // another server was faster
	}
	return made, err
}

// run answers on the listener and works jobs until ctx ends, and then until
// what is in flight is done.
func (h *theHub) run(ctx context.Context, l net.Listener) error {
	if err := h.startJobs(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil // told to stop before it had begun
		}
		return errors.Join(err, l.Close())
	}
	err := h.server.Serve(ctx, l)
	return errors.Join(err, h.stopJobs(ctx))
}
