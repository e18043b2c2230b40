package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hfapi"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/server/oci"
	"github.com/carat-hub/carat/web"
)

const (
	tokenService = "carat" // issuer and audience of the token endpoint's tokens
	adminName    = "admin"

	maxWorkloadFile = 1 << 20 // bytes
)

// theHub is the assembled server: what newHub wires together.
type theHub struct {
	*backend
	tokenKeys *auth.Keys
	audit     *audit.Log
	server    *server.Server
}

// newHub opens what lies below the HTTP edge and puts that on top.
func newHub(ctx context.Context, c serveConfig, getenv func(string) string, log *slog.Logger) (*theHub, error) {
	b, err := newBackend(ctx, c, getenv, log)
	if err != nil {
		return nil, err
	}
	h := &theHub{backend: b, audit: audit.NewLog(b.store, nil, log)}
	if h.server, err = h.newServer(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *theHub) newServer(ctx context.Context) (*server.Server, error) {
	var err error
	if h.tokenKeys, err = auth.NewKeys(ctx, auth.KeyOptions{Store: h.store, Age: h.config.TokenKeyAge, Clock: h.config.clock}); err != nil {
		return nil, err
	}
	signer, err := auth.NewSigner(auth.TokenOptions{Keys: h.tokenKeys, Clock: h.config.clock, Issuer: tokenService, Audience: tokenService})
	if err != nil {
		return nil, err
	}
	workloads, err := h.workloads()
	if err != nil {
		return nil, err
	}
	providers, err := h.providers()
	if err != nil {
		return nil, err
	}
	access := server.NewAccess(h.registry)
	pages, err := web.New(web.Options{
		Models: h.registry, Verifications: h.store, Audit: h.audit, Directory: h.store, SignIns: h.store,
		Principal: access.Principal, Session: access.Session, BaseURL: access.BaseURL, Address: access.Address, Version: buildVersion(),
	})
	if err != nil {
		return nil, err
	}
	return server.New(server.Options{
		Users: h.store, Tokens: h.store, RefreshTokens: h.store, Sessions: h.store, Providers: providers, Devices: h.store, SSHKeys: h.store, Workloads: workloads, Signer: signer, Repositories: h.registry,
		Routes: []server.Routes{
			oci.New(oci.Options{Registry: h.registry, RedirectFor: h.config.Redirect}),
			hfapi.New(hfapi.Options{Registry: h.registry, RedirectFor: h.config.Redirect}),
			hub.New(hub.Options{
				Models: h.registry, Verifications: h.store, Keys: h.signer, TokenKeys: h.tokenKeys, Gates: h.registry, Assessments: h.registry,
				Consents: h.registry, Lineages: h.registry, Affirmations: h.registry, LicenseTexts: h.registry, Policies: h.registry,
				Users: h.store, SSHKeys: h.store, Directory: h.store,
				Origins: h.registry, Imports: h.recorder, Audit: h.audit, Access: access,
			}),
			pages,
		},
		ErrorPage:  pages.ErrorPage,
		SignInPage: pages.SignInPage,
		DevicePage: pages.DevicePage,
		Checks:     []server.Check{{Name: "database", Ping: h.db.Ping}, {Name: "blobs", Ping: h.blobs.Ping}},
		Audit:      h.audit,
		Limits:     h.config.Limits,
		PublicURL:  h.config.PublicURL, TrustProxy: h.config.TrustProxy, Grace: h.config.Grace, Clock: h.config.clock, Logger: h.log,
	})
}

// workloads reads for whose identity tokens there are access tokens. The result
// is nil when the administrator trusts no issuers.
func (h *theHub) workloads() (server.Workloads, error) {
	path := h.config.Workloads
	if path == "" {
		return nil, nil
	}
	text, err := readSmall(path, maxWorkloadFile)
	if err != nil {
		return nil, fmt.Errorf("--workload-identities: %w", err)
	}
	rules, err := auth.ParseWorkloadRules(text)
	if err != nil {
		return nil, fmt.Errorf("--workload-identities %s: %w", path, err)
	}
	w, err := auth.NewWorkloads(auth.WorkloadOptions{Rules: rules, Store: h.store, Clock: h.config.clock})
	if err != nil {
		return nil, fmt.Errorf("--workload-identities %s: %w", path, err)
	}
	return w, nil
}

// providers reads at which OpenID providers people sign in. The result is nil
// when there are none.
func (h *theHub) providers() (server.Providers, error) {
	path := h.config.Providers
	if path == "" {
		return nil, nil
	}
	text, err := readSmall(path, maxWorkloadFile)
	if err != nil {
		return nil, fmt.Errorf("--oidc-providers: %w", err)
	}
	list, err := auth.ParseProviders(text)
	if err != nil {
		return nil, fmt.Errorf("--oidc-providers %s: %w", path, err)
	}
	for i, p := range list {
		if p.SecretFile == "" {
			continue
		}
		secret, err := readSmall(p.SecretFile, maxSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--oidc-providers %s: the secret of %s: %w", path, p.Name, err)
		}
		list[i].ClientSecret = strings.TrimSpace(string(secret))
	}
	providers, err := auth.NewProviders(list, h.store, h.config.clock)
	if err != nil {
		return nil, fmt.Errorf("--oidc-providers %s: %w", path, err)
	}
	return providers, nil
}

// maxSecretFile is how many bytes a file with a client's secret may have.
const maxSecretFile = 16 << 10

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
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		h.tokenKeys.Watch(watch, func(err error) {
			h.log.ErrorContext(ctx, "refresh the keys of tokens", slog.Any("error", err))
		})
	})
	// The log ends after the last request that may add to it.
	logging, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	var logged sync.WaitGroup
	logged.Go(func() { h.audit.Run(logging) })
	err := errors.Join(h.server.Serve(ctx, l), h.stopJobs(ctx))
	stop()
	watching.Wait()
	stopLog()
	logged.Wait()
	return err
}
