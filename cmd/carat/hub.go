package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/jobs"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/server/oci"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/s3"
	"github.com/carat-hub/carat/storage/sqlstore"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/web"
)

const (
	tokenService = "carat"      // issuer and audience of access tokens
	tokenSecret  = "token-seed" // name of the signing seed among the hub's secrets
	adminName    = "admin"

	stopJobs    = 20 * time.Second // how long running jobs may go on at shutdown
	verifySlack = 15 * time.Minute // of a job, for fetching the files before the verification's own time begins
)

// theHub is the assembled server: what newHub wires together.
type theHub struct {
	config   serveConfig
	db       *sqlstore.DB
	store    *sqlstore.Store
	blobs    storage.Store
	registry *registry.Registry
	signer   *attestation.Signer
	queue    *jobs.Queue
	cache    *verify.Cache
	verifier *verify.Service
	server   *server.Server
	log      *slog.Logger
	opened   []io.Closer
}

// newHub opens database and blob storage and wires all floors together.
func newHub(ctx context.Context, c serveConfig, getenv func(string) string, log *slog.Logger) (_ *theHub, err error) {
	if c, err = c.check(); err != nil {
		return nil, err
	}
	h := &theHub{config: c, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.db, err = sqlstore.Open(ctx, c.DatabaseURL, sqlstore.OpenOptions{Unsafe: c.Unsafe}); err != nil {
		return nil, err
	}
	h.opened = append(h.opened, h.db)
	if h.blobs, err = openBlobs(ctx, c.Blobs, getenv); err != nil {
		return nil, err
	}
	if c, ok := h.blobs.(io.Closer); ok {
		h.opened = append(h.opened, c)
	}
	if h.queue, err = jobs.New(ctx, jobs.Options{
		Engine: string(h.db.Engine()), DB: h.db.Writer(), Pool: h.db.PgxPool(), Logger: log,
		VerifyWorkers: c.VerifyWorkers, VerifyTimeout: c.VerifyTimeout + verifySlack,
		ObjectGrace: max(c.Redirect, time.Hour) + verifySlack,
	}); err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	h.store = sqlstore.New(h.db, sqlstore.Options{Outbox: h.queue})
	h.registry = registry.New(registry.Options{
		Blobs: h.blobs, Store: h.store, DefaultVisibility: auth.Visibility(c.Visibility), DefaultGate: registry.Gate(c.Gate), Logger: log,
	})
	if h.cache, err = verify.NewCache(filepath.Join(c.Data, "cache"), c.CacheSize); err != nil {
		return nil, err
	}
	h.opened = append(h.opened, h.cache)
	if h.signer, err = h.newSigner(ctx); err != nil {
		return nil, err
	}
	h.verifier = verify.NewService(verify.ServiceOptions{
		Versions: h.registry, Publisher: h.registry, Attester: h.signer, Store: h.store, Checks: check.InProcess{}, Logger: log,
		Source:  verify.Source{Blobs: h.registry, Cache: h.cache},
		Version: buildVersion(), Threads: c.VerifyThreads, Timeout: c.VerifyTimeout,
	})
	h.server, err = h.newServer(ctx)
	return h, err
}

// openBlobs opens a folder or the bucket of an s3:// URL.
func openBlobs(ctx context.Context, where string, getenv func(string) string) (storage.Store, error) {
	if !strings.HasPrefix(where, "s3://") {
		return fs.New(fs.Options{Dir: where})
	}
	o, err := s3.ParseURL(where, getenv)
	if err != nil {
		return nil, err
	}
	return s3.New(ctx, o)
}

// newSigner returns what signs reports: with the key in a file when one is
// given, with the hub's own otherwise.
func (h *theHub) newSigner(ctx context.Context) (*attestation.Signer, error) {
	if h.config.SigningKey == "" {
		s, err := attestation.NewSigner(ctx, h.store)
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
		return s, nil
	}
	p, err := os.ReadFile(h.config.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("--signing-key: %w", err)
	}
	private, err := attestation.ParsePrivateKey(p)
	if err != nil {
		return nil, fmt.Errorf("--signing-key %s: %w", h.config.SigningKey, err)
	}
	s, err := attestation.NewSignerWith(ctx, h.store, private)
	if err != nil {
		return nil, fmt.Errorf("--signing-key %s: %w", h.config.SigningKey, err)
	}
	return s, nil
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
		Principal: access.Principal, BaseURL: access.BaseURL, Version: buildVersion(),
	})
	if err != nil {
		return nil, err
	}
	return server.New(server.Options{
		Users: h.store, Signer: signer, Repositories: h.registry,
		Routes: []server.Routes{
			oci.New(oci.Options{Registry: h.registry, RedirectFor: h.config.Redirect}),
			hub.New(hub.Options{Models: h.registry, Verifications: h.store, Keys: h.signer, Gates: h.registry, Access: access}),
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
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopJobs)
	defer cancel()
	return errors.Join(err, h.queue.Stop(stop))
}

func (h *theHub) startJobs(ctx context.Context) error {
	return h.queue.Start(ctx, jobs.Services{
		Worker: h.verifier, Backlog: h.store, Store: h.store, Collector: h.store, Blobs: h.blobs,
	})
}

// close gives everything back that newHub opened, the last first.
func (h *theHub) close() error {
	var problems []error
	for _, c := range slices.Backward(h.opened) {
		problems = append(problems, c.Close())
	}
	return errors.Join(problems...)
}
