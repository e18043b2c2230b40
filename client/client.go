package client

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/registry"
)

// Defaults of Options.
const (
	defaultJobs      = 4
	defaultStreams   = 6 // with pieceSize, 96 MiB of memory
	defaultChunkSize = 64 << 20
	defaultAttempts  = 9 // with the growing waits between them about a minute: a server may restart meanwhile
	defaultStall     = 2 * time.Minute
	defaultAgent     = "carat"
)

const copyBuffer = 256 << 10

// Options configure a Client. The zero value is usable: anonymous, HTTPS but
// for loopback hosts, no progress.
type Options struct {
	// PlainHTTP speaks HTTP to every host. Loopback hosts always get it.
	PlainHTTP bool
	// Credentials is where passwords come from, nil for none. It is asked
	// only for the host of a reference, never for one that a server names.
	Credentials credentials.Store
	// TokenHosts are hosts, with ":port" unless it is the usual one, that may
	// get passwords though they share neither host name nor registrable
	// domain with the registry whose challenge names them.
	TokenHosts []string
	// Jobs is how many files are worked on at once, 4 when 0.
	Jobs int
	// Streams is how many pieces of large files are fetched at once, over all
	// files, each with 16 MiB of memory. With 1 no file is fetched in pieces.
	// When 0 it is 6, and 1 for loopback hosts, where one connection gives all there is.
	Streams int
	// ChunkSize in bytes is what one request of a resumable upload carries,
	// and up to which size a blob is sent in one request. 64 MiB when 0.
	ChunkSize int64
	// Attempts is how often something is tried without any progress, 9 when 0.
	Attempts int
	// Stall is how long a transfer may stand still before it is begun anew, 2 minutes when 0.
	Stall time.Duration
	// Progress gets the events of transfers, one at a time. It must not block.
	Progress func(Event)
	// UserAgent is sent with every request, "carat" when empty.
	UserAgent string
	// Transport carries the requests, nil for one of the client's own.
	Transport http.RoundTripper
	// Sleep waits between attempts and polls, nil for a real wait. It
	// returns early with the context's error.
	Sleep func(ctx context.Context, d time.Duration) error
	// Now is the clock for Retry-After dates, time.Now when nil.
	Now func() time.Time
}

// Client pushes and pulls models. It is safe for concurrent use.
type Client struct {
	opts    Options
	report  reporter
	buffers buffers

	rangesFrom, pieceSize int64 // see there
	wholeFromLoopback     bool

	mu      sync.Mutex
	remotes map[string]*remote // by host
}

// New returns a client.
func New(o Options) *Client {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	auto := o.Streams <= 0
	if auto {
		o.Streams = defaultStreams
	}
	if o.ChunkSize <= 0 {
		o.ChunkSize = defaultChunkSize
	}
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultAgent
	}
	if o.Transport == nil {
		o.Transport = transport(o.Jobs + o.Streams)
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		opts: o, report: reporter{fn: o.Progress}, buffers: newBuffers(o.Streams),
		rangesFrom: rangesFrom, pieceSize: pieceSize, wholeFromLoopback: auto, remotes: make(map[string]*remote),
	}
	if o.Streams == 1 {
		c.rangesFrom = math.MaxInt64
	}
	return c
}

// transport returns the standard transport made fit for large blobs: bytes
// exactly as stored, and a connection for each transfer instead of streams
// that share the flow control of one.
func transport(connections int) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.MaxIdleConnsPerHost = connections + 2
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// remote is the connection to one registry.
type remote struct {
	c      *Client
	base   url.URL // scheme and host
	client *auth.Client

	mu      sync.Mutex
	reached bool // some answer has come
}

// dockerHub is where the registry that calls itself docker.io listens.
const dockerHub = "registry-1.docker.io"

func (c *Client) remote(host string) *remote {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.remotes[host]
	if r == nil {
		r = c.newRemote(host, func(ctx context.Context, _ string) (auth.Credential, error) {
			if c.opts.Credentials == nil {
				return auth.EmptyCredential, nil
			}
			cred, err := c.opts.Credentials.Get(ctx, credentials.ServerAddressFromRegistry(host))
			if err != nil {
				return auth.EmptyCredential, fmt.Errorf("read the credentials of %s: %w", host, err)
			}
			return cred, nil
		})
		c.remotes[host] = r
	}
	return r
}

func (c *Client) newRemote(host string, credential auth.CredentialFunc) *remote {
	r := &remote{c: c, base: url.URL{Scheme: "https", Host: host}}
	if c.opts.PlainHTTP || IsLoopback(host) {
		r.base.Scheme = "http"
	}
	if host == "docker.io" {
		r.base.Host = dockerHub
	}
	r.client = &auth.Client{
		Client: &http.Client{Transport: &guard{base: c.opts.Transport, origin: r.base, tokenHosts: c.opts.TokenHosts}},
		Header: http.Header{"User-Agent": {c.opts.UserAgent}},
		Cache:  auth.NewCache(),
		Credential: func(ctx context.Context, hostport string) (auth.Credential, error) {
			if hostport != r.base.Host {
				return auth.EmptyCredential, nil
			}
			return credential(ctx, hostport)
		},
	}
	return r
}

// scoped returns a context whose requests ask for tokens that allow the
// actions ("pull", "push") on the repository.
func (r *remote) scoped(ctx context.Context, n registry.Name, actions ...string) context.Context {
	return auth.AppendScopesForHost(ctx, r.base.Host, auth.ScopeRepository(string(n), actions...))
}

func (r *remote) url(n registry.Name, parts ...string) *url.URL {
	u := r.base
	u.Path = "/v2/" + string(n) + "/" + strings.Join(parts, "/")
	return &u
}
