package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

// serveConfig is what `carat serve` is told by flags and CARAT_* variables.
type serveConfig struct {
	Addr        string
	Data        string
	DatabaseURL string
	Blobs       string

	PublicURL  string
	TrustProxy bool
	Visibility string
	Redirect   time.Duration
	Unsafe     bool
	Grace      time.Duration

	TokenKeyAge time.Duration
	Workloads   string
	Providers   string
	Limits      server.Limits
	MetricsAddr string
	clock       func() time.Time // of tokens; nil but in tests

	VerifyWorkers int
	VerifyThreads int
	VerifyTimeout time.Duration
	VerifyMemory  int64 // bytes
	Sandbox       sandboxFlag
	SigningKey    string
	TrustedKeys   string
	Gate          string
	CacheSize     int64 // bytes

	LogFormat string
	LogLevel  string
}

// defaultRedirect is how long redirect URLs hold by default: long enough for
// clients that fetch all ranges of a large file from one URL.
const defaultRedirect = 6 * time.Hour

const serveHelp = `Serve the hub: registry, pages, API and verification in one process.

Without options it keeps its database and blobs in ./carat-data and listens
on 127.0.0.1:8080. The first start makes the user "admin", with the password in
CARAT_ADMIN_PASSWORD, or with a random one that is printed once.

Every option can be given as an environment variable too: CARAT_ADDR for
--addr, CARAT_DATABASE_URL for --database-url, and so on.

Blob storage on S3:
  --blobs 's3://bucket/prefix?endpoint=http://host:9000&region=us-east-1&path-style=true'
  The keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
  Parameters: endpoint, region, path-style, public-endpoint (the address that
  clients use for redirected downloads, when it differs).

Several servers may share one Postgres and one bucket; each also verifies, unless
--verify-workers is 0. "carat worker" verifies and serves nothing.`

func newServeCommand(e *env) *cobra.Command {
	c := serveConfig{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the hub: registry, pages, API and verification",
		Long:  serveHelp,
		Args:  usage(cobra.NoArgs),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return flagsFromEnv(cmd.Flags(), e.getenv)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), c, e)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	f.StringVar(&c.PublicURL, "public-url", "", "URL that clients see, such as https://hub.example.org (default: from the request)")
	f.BoolVar(&c.TrustProxy, "trust-proxy", false, "believe X-Forwarded-Proto, -Host and -For; only behind a proxy that sets them")
	f.StringVar(&c.Visibility, "default-visibility", string(auth.Public), "who may pull from new repositories: public, internal or private")
	f.DurationVar(&c.Redirect, "redirect", defaultRedirect, "redirect blob downloads to S3 with URLs that hold this long; 0 serves them from here")
	f.DurationVar(&c.Grace, "grace", time.Minute, "how long requests in flight may take to finish at a shutdown; uploads that are cut can be resumed")
	f.DurationVar(&c.TokenKeyAge, "token-key-age", 30*24*time.Hour, "after how long tokens are signed with a fresh key; tokens outlive the change")
	f.StringVar(&c.Workloads, "workload-identities", "", "JSON `FILE` that says which jobs of which CI systems get access tokens for their OpenID Connect tokens")
	f.StringVar(&c.Providers, "oidc-providers", "", "JSON `FILE` with the OpenID providers at which people can sign in to the pages, and the roles of their groups")
	f.IntVar(&c.Limits.SignInFailures, "sign-in-failures", 20, "wrong passwords that an account is forgiven, one more every ten seconds, and five times as many that an address is; -1 for no limit")
	f.IntVar(&c.Limits.Requests, "request-rate", 100, "requests a second that an address may make of the token endpoint and the API, and a user of the API, ten seconds' worth at once; -1 for no limit. Content is never limited")
	f.StringVar(&c.MetricsAddr, "metrics-addr", "", "another address that shows /metrics to whoever reaches it (default: only administrators see it)")
	f.IntVar(&c.VerifyWorkers, "verify-workers", 1, "verifications at a time; 0 leaves them to others")
	f.StringVar(&c.Gate, "verification-gate", string(registry.GateWarn), "what becomes of pulls of versions that have not passed verification: off, warn, or block (only who may push there gets them); for organizations without a gate of their own")
	c.registerBackend(f)
	return cmd
}

// registerBackend adds the flags of what lies below the HTTP edge.
func (c *serveConfig) registerBackend(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", "./carat-data", "folder for the database, the blobs and the cache")
	f.StringVar(&c.DatabaseURL, "database-url", "", "postgres://user:password@host/name (default: SQLite in the data folder)")
	f.StringVar(&c.Blobs, "blobs", "", "folder or s3:// URL of the blob storage (default: a folder in the data folder)")
	f.BoolVar(&c.Unsafe, "unsafe-database", false, "accept a Postgres with fsync, full_page_writes or synchronous_commit off")
	f.IntVar(&c.VerifyThreads, "verify-threads", 0, "threads of one verification (default: all processors)")
	f.DurationVar(&c.VerifyTimeout, "verify-timeout", time.Hour, "how long one verification may take")
	f.Int64Var(&c.VerifyMemory, "verify-memory", 0, "bytes that the verifications together may take; one that is larger runs alone (default: three quarters of what there is)")
	c.Sandbox.register(f)
	f.StringVar(&c.SigningKey, "signing-key", "", "PEM file with the Ed25519 private key that signs reports (default: one that the hub makes and keeps in its database)")
	f.StringVar(&c.TrustedKeys, "trusted-keys", "", "PEM file with the public keys and root certificates whose signatures on models and provenance are believed, or JSON that names such a file and identities of sigstore")
	f.Int64Var(&c.CacheSize, "cache-size", 50<<30, "bytes of model files kept for verification when blobs are on S3")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// serve runs the hub until ctx ends, and then until what is in flight is done.
func serve(ctx context.Context, c serveConfig, e *env) error {
	log, err := newLogger(e.stderr, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	delegateGroup(ctx, log)
	h, err := newHub(ctx, c, e.getenv, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := h.close(); err != nil {
			log.Error("close the hub", slog.Any("error", err))
		}
	}()
	password, err := h.ensureAdmin(ctx, e.getenv("CARAT_ADMIN_PASSWORD"))
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Addr, err)
	}
	if c.MetricsAddr != "" {
		stop, err := h.serveMetrics(ctx, c.MetricsAddr)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		defer stop()
	}
	announce(e.stdout, l.Addr(), c, password)
	return h.run(ctx, l)
}

// serveMetrics shows the metrics on an address of their own until stop is called.
func (h *theHub) serveMetrics(ctx context.Context, addr string) (stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics-addr %s: %w", addr, err)
	}
	const patience = 15 * time.Second
	s := &http.Server{
		Handler: h.server.Metrics(), ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.log.ErrorContext(ctx, "show metrics", slog.Any("error", err))
		}
	}()
	h.log.InfoContext(ctx, "metrics are shown", slog.String("address", l.Addr().String()))
	return func() {
		_ = s.Close() // a scrape that is cut asks again
		<-ended
	}, nil
}

// announce tells the person at the terminal what runs where.
func announce(w io.Writer, addr net.Addr, c serveConfig, password string) {
	url := c.PublicURL
	if url == "" {
		url = "http://" + addr.String()
	}
	fmt.Fprintf(w, "Carat serves at %s\n", url)
	if password != "" {
		fmt.Fprintf(w, "First start: sign in as admin with the password %s (it is not shown again)\n", password)
	}
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: use text or json", format)
}

// check refuses settings that cannot work and fills in what depends on others.
func (c serveConfig) check() (serveConfig, error) {
	if v := auth.Visibility(c.Visibility); !v.Valid() {
		return c, fmt.Errorf("--default-visibility %q: use public, internal or private", c.Visibility)
	}
	if c.Gate == "" {
		c.Gate = string(registry.GateWarn)
	}
	if !registry.Gate(c.Gate).Valid() {
		return c, fmt.Errorf("--verification-gate %q: use off, warn or block", c.Gate)
	}
	if c.VerifyWorkers < 0 || c.VerifyThreads < 0 || c.VerifyMemory < 0 || c.VerifyTimeout <= 0 || c.CacheSize <= 0 || c.Redirect < 0 {
		return c, errors.New("--verify-timeout and --cache-size must be above zero, --verify-workers, --verify-threads, --verify-memory and --redirect not below")
	}
	if c.VerifyMemory == 0 {
		c.VerifyMemory = totalMemory() / 4 * 3
	}
	const presignLimit = 7 * 24 * time.Hour // AWS Signature Version 4
	if c.Redirect > presignLimit {
		return c, fmt.Errorf("--redirect %s: S3 URLs hold at most %s", c.Redirect, presignLimit)
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.Data, "carat.db")
	}
	if c.Blobs == "" {
		c.Blobs = filepath.Join(c.Data, "blobs")
	}
	if strings.Contains(c.Blobs, "://") && !strings.HasPrefix(c.Blobs, "s3://") {
		return c, fmt.Errorf("--blobs %q: use a folder or an s3:// URL", c.Blobs)
	}
	return c, nil
}
