package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/jobs"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/s3"
	"github.com/carat-hub/carat/storage/sqlstore"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

const (
	jobGrace    = 20 * time.Second // how long running jobs may go on at shutdown
	verifySlack = 15 * time.Minute // of a job, for fetching the files before the verification's own time begins
)

// backend is what lies below the HTTP edge: a server has it, and a worker has
// nothing else.
type backend struct {
	config   serveConfig
	db       *sqlstore.DB
	store    *sqlstore.Store
	blobs    storage.Store
	registry *registry.Registry
	signer   *attestation.Signer
	queue    *jobs.Queue
	cache    *verify.Cache
	recorder *verify.Recorder
	verifier *verify.Service
	log      *slog.Logger
	opened   []io.Closer
}

// newBackend opens database and blob storage and wires all floors together.
func newBackend(ctx context.Context, c serveConfig, getenv func(string) string, log *slog.Logger) (_ *backend, err error) {
	if c, err = c.check(); err != nil {
		return nil, err
	}
	b := &backend{config: c, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.db, err = sqlstore.Open(ctx, c.DatabaseURL, sqlstore.OpenOptions{Unsafe: c.Unsafe}); err != nil {
		return nil, err
	}
	b.opened = append(b.opened, b.db)
	if b.blobs, err = openBlobs(ctx, c.Blobs, getenv); err != nil {
		return nil, err
	}
	if c, ok := b.blobs.(io.Closer); ok {
		b.opened = append(b.opened, c)
	}
	workers := c.VerifyWorkers
	if workers == 0 {
		workers = jobs.NoWorkers
	}
	if b.queue, err = jobs.New(ctx, jobs.Options{
		Engine: string(b.db.Engine()), DB: b.db.Writer(), Pool: b.db.PgxPool(), Logger: log,
		VerifyWorkers: workers, VerifyTimeout: c.VerifyTimeout + verifySlack,
		ObjectGrace: max(c.Redirect, time.Hour) + verifySlack,
	}); err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	b.store = sqlstore.New(b.db, sqlstore.Options{Outbox: b.queue})
	if b.signer, err = b.newSigner(ctx); err != nil {
		return nil, err
	}
	trust, err := c.trust()
	if err != nil {
		return nil, err
	}
	b.registry = registry.New(registry.Options{
		Blobs: b.blobs, Store: b.store, DefaultVisibility: auth.Visibility(c.Visibility), DefaultGate: registry.Gate(c.Gate), Notary: b.signer, Logger: log,
		Trust: trust, OwnKeys: b.ownKeys,
	})
	if b.cache, err = verify.NewCache(filepath.Join(c.Data, "cache"), c.CacheSize); err != nil {
		return nil, err
	}
	b.opened = append(b.opened, b.cache)
	checks, err := b.checks(ctx)
	if err != nil {
		return nil, err
	}
	b.recorder = verify.NewRecorder(verify.RecorderOptions{
		Versions: b.registry, Publisher: b.registry, Signer: b.signer, Assessor: b.registry, Store: b.store, ID: c.id(), Version: buildVersion(),
	})
	b.verifier = verify.NewService(verify.ServiceOptions{
		Versions: b.registry, Publisher: b.registry, Attester: b.signer, Store: b.store, Checks: checks, Logger: log,
		Fingerprints: b.store, Recorder: b.recorder, Source: verify.Source{Blobs: b.registry, Cache: b.cache}, Memory: c.VerifyMemory,
		Version: buildVersion(), Threads: c.VerifyThreads, Timeout: c.VerifyTimeout,
	})
	return b, nil
}

// checks returns the checks in a sandbox that this system was seen to give.
func (b *backend) checks(ctx context.Context) (verify.Checks, error) {
	checks, err := b.config.Sandbox.checks()
	if err != nil {
		return nil, err
	}
	s, ok := checks.(verify.Sandboxed)
	if !ok {
		b.log.WarnContext(ctx, "models are looked at without a sandbox")
		return checks, nil
	}
	s.Memory = b.config.VerifyMemory // no child takes more than all of them may
	level, err := s.Probe(ctx)
	if err != nil {
		return nil, err
	}
	b.log.InfoContext(ctx, "models are looked at in a sandbox", slog.String("layers", level.Layers.String()), slog.Int("landlock", level.Landlock))
	return s, nil
}

// newSigner returns what signs reports: with the key in a file when one is
// given, with the hub's own otherwise.
func (b *backend) newSigner(ctx context.Context) (*attestation.Signer, error) {
	if b.config.SigningKey == "" {
		s, err := attestation.NewSigner(ctx, b.store)
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
		return s, nil
	}
	p, err := os.ReadFile(b.config.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("--signing-key: %w", err)
	}
	private, err := attestation.ParsePrivateKey(p)
	if err != nil {
		return nil, fmt.Errorf("--signing-key %s: %w", b.config.SigningKey, err)
	}
	s, err := attestation.NewSignerWith(ctx, b.store, private)
	if err != nil {
		return nil, fmt.Errorf("--signing-key %s: %w", b.config.SigningKey, err)
	}
	return s, nil
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

func (b *backend) startJobs(ctx context.Context) error {
	return b.queue.Start(ctx, jobs.Services{
		Worker: b.verifier, Assessor: b.registry, Backlog: b.store, Store: b.store, Collector: b.store, Blobs: b.blobs,
	})
}

// stopJobs ends the work of a context that is done: running jobs are finished,
// or given back after a while.
func (b *backend) stopJobs(ctx context.Context) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobGrace)
	defer cancel()
	return b.queue.Stop(stop)
}

// close gives everything back that newBackend opened, the last first.
func (b *backend) close() error {
	var problems []error
	for _, c := range slices.Backward(b.opened) {
		problems = append(problems, c.Close())
	}
	return errors.Join(problems...)
}
