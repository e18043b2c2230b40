package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

// Limits of connections. There is no limit on how long a request may take as
// a whole: a push of 100 GB takes hours. What is limited is how long it may
// stand still, see Options.Stall.
const (
	readHeaderTimeout = 15 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Routes is a set of routes: an API or the pages.
type Routes interface {
	// Register adds the routes. Handlers return errors for the Server to
	// render and never write them.
	Register(e *echo.Echo)
}

// ErrorPage shows an error to a browser: an HTTP status and a sentence. The
// headers but for the content type are set.
type ErrorPage func(c echo.Context, status int, message string) error

// Options are what a Server is made of.
type Options struct {
	Users  auth.Users            // required
	Tokens auth.AccessTokenStore // nil: there are no access tokens
	// RefreshTokens are the sign-ins that programs keep; nil: there are none.
	RefreshTokens auth.RefreshTokenStore
	// Sessions are the browsers that are signed in; nil: none can sign in.
	Sessions auth.SessionStore
	// SignInPage shows the form for it; required with Sessions.
	SignInPage SignInPage
	// Devices are the programs that browsers sign in; nil: there are none.
	Devices auth.DeviceStore
	// DevicePage asks for it; required with Devices.
	DevicePage DevicePage
	// Providers sign people in elsewhere; nil: there are none.
	Providers Providers
	// SSHKeys are those whose signatures stand for users; nil: there are none.
	SSHKeys auth.SSHKeyStore
	// Workloads exchange the identity tokens of other issuers; nil: none are taken.
	Workloads    Workloads
	Signer       *auth.Signer // required; its audience is the service of challenges
	Repositories Repositories // required, for the token endpoint
	Routes       []Routes
	Checks       []Check   // what /readyz looks at
	ErrorPage    ErrorPage // errors outside the APIs; plain text when nil

	// PublicURL is the hub's URL, http(s)://host[:port], where the request's
	// Host is not what clients see. "" = from the request.
	PublicURL string
	// TrustProxy takes X-Forwarded-Proto, -Host and -For at their word: set it
	// only behind a proxy that overwrites them.
	TrustProxy bool

	// Stall is how long a connection may stand still in the middle of a
	// request; one minute when zero.
	Stall time.Duration
	// Grace is how long requests in flight may take to finish after a
	// shutdown has begun; 30 seconds when zero.
	Grace time.Duration
	// PullTTL and PushTTL are how long tokens hold that permit only pulling,
	// and those that permit more; see the defaults.
	PullTTL, PushTTL time.Duration

	// Limits are how often somebody may try.
	Limits Limits

	// Audit gets sign-ins and refusals; nobody does when nil.
	Audit *audit.Log
	// Metrics is where the edge registers its metrics and what /metrics
	// shows. When nil it is a new one that also has the Go runtime's and the
	// process's.
	Metrics *prometheus.Registry
	// Logger gets one line for each request; slog.Default() when nil.
	Logger *slog.Logger
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
}

// Server is the hub's HTTP handler. It is safe for concurrent use.
type Server struct {
	echo          *echo.Echo
	users         auth.Users
	tokens        auth.AccessTokenStore
	refreshTokens auth.RefreshTokenStore
	sessions      auth.SessionStore
	signInPage    SignInPage
	providers     Providers
	devices       auth.DeviceStore
	devicePage    DevicePage
	crossOrigin   *http.CrossOriginProtection
	sshKeys       auth.SSHKeyStore
	workloads     Workloads
	signer        *auth.Signer
	verifier      *auth.Verifier
	repos         Repositories
	errorPage     ErrorPage
	publicURL     string
	trustProxy    bool
	stall         time.Duration
	grace         time.Duration
	pullTTL       time.Duration
	pushTTL       time.Duration
	throttle      *throttle
	audit         *audit.Log
	metrics       *metrics
	health        *health
	log           *slog.Logger
	now           func() time.Time
}

// New returns a server. It fails when an option that is required is missing
// or the public URL is none.
func New(o Options) (*Server, error) {
	if o.Users == nil || o.Signer == nil || o.Repositories == nil {
		return nil, errors.New("a server needs users, a signer and repositories")
	}
	if (o.Sessions == nil) != (o.SignInPage == nil) || (o.Devices == nil) != (o.DevicePage == nil) {
		return nil, errors.New("a server needs pages to sign in for its sessions and devices")
	}
	publicURL, err := parsePublicURL(o.PublicURL)
	if err != nil {
		return nil, err
	}
	crossOrigin := http.NewCrossOriginProtection()
	if publicURL != "" {
		if err := crossOrigin.AddTrustedOrigin(publicURL); err != nil {
			return nil, fmt.Errorf("the public URL %s: %w", publicURL, err)
		}
	}
	s := &Server{
		echo: echo.New(), users: o.Users, tokens: o.Tokens, refreshTokens: o.RefreshTokens,
		sessions: o.Sessions, signInPage: o.SignInPage, providers: o.Providers, devices: o.Devices, devicePage: o.DevicePage, crossOrigin: crossOrigin, sshKeys: o.SSHKeys, workloads: o.Workloads,
		signer: o.Signer, verifier: o.Signer.Verifier(), repos: o.Repositories,
		errorPage: o.ErrorPage, publicURL: publicURL, trustProxy: o.TrustProxy,
		stall: orDefault(o.Stall, time.Minute), grace: orDefault(o.Grace, 30*time.Second),
		pullTTL: orDefault(o.PullTTL, defaultPullTTL), pushTTL: orDefault(o.PushTTL, defaultPushTTL),
		throttle: newThrottle(o.Limits), audit: o.Audit, log: o.Logger, now: o.Clock,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
		o.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	s.health = &health{checks: o.Checks, now: s.now, log: s.log}
	s.routes(o.Routes)
	return s, nil
}

func (s *Server) routes(sets []Routes) {
	e := s.echo
	e.HTTPErrorHandler = s.renderError
	e.Pre(recoverPanic, refusePath, s.limitAddress, s.authenticate, s.limitUser, s.refuseOtherSites)
	e.Use(noteRoute)
	e.GET("/livez", s.health.live)
	e.GET("/readyz", s.health.ready)
	e.GET("/metrics", s.showMetrics)
	e.GET("/token", s.token)
	e.POST("/token", s.tokenForm)
	e.GET("/.well-known/jwks.json", s.jwks)
	if s.sessions != nil {
		e.GET("/login", s.signInForm)
		e.POST("/login", s.signInBrowser)
		e.POST("/logout", s.signOutBrowser)
		if s.devices != nil {
			e.GET(devicePath, s.deviceForm)
			e.POST(devicePath, s.beginDevice)
			e.POST(devicePath+"/answer", s.answerDevice)
		}
		e.GET("/auth/:provider", s.beginProvider, s.wantProviders)
		e.GET("/auth/:provider/callback", s.finishProvider, s.wantProviders)
	}
	for _, set := range sets {
		set.Register(e)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := s.now()
	x := &exchange{id: requestID(r), area: areaOf(r.URL.Path), base: s.baseURL(r)}
	if problem := pathProblem(r.URL.EscapedPath(), x.area); problem != "" {
		code := CodeRequestInvalid
		if strings.HasPrefix(r.URL.Path, "/v2") {
			x.area, code = areaV2, registry.CodeNameInvalid
		}
		x.pathErr = registry.Errorf(code, "the path holds %s", problem)
	}
	out := newResponse(w, s.stall)
	x.actor = audit.Actor{Address: s.remote(r), Request: x.id}
	r = r.WithContext(audit.WithActor(context.WithValue(r.Context(), exchangeKey{}, x), &x.actor))
	r.URL = canonical(r, x.area)
	var in *body
	if r.Body != nil && r.Body != http.NoBody {
		in = &body{ReadCloser: r.Body, control: out.control, stall: s.stall}
		r.Body = in
	}
	secure(w.Header())
	w.Header().Set("X-Request-Id", x.id)

	s.metrics.inFlight.Inc()
	defer func() {
		out.finish(in)
		s.metrics.inFlight.Dec()
		s.note(x, out, r, in, s.now().Sub(begun))
	}()
	s.echo.ServeHTTP(out, r)
	if x.abort {
		panic(http.ErrAbortHandler)
	}
}

// note counts a request and writes its line of the access log. The query is
// left out: it may hold secrets.
func (s *Server) note(x *exchange, out *response, r *http.Request, in *body, took time.Duration) {
	status := out.status
	if status == 0 {
		status = http.StatusOK // net/http's answer for a handler that wrote nothing
	}
	var received int64
	if in != nil {
		received = in.bytes
	}
	s.metrics.note(x, r.Method, status, received, out.bytes, took)

	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError, x.abort && status != statusGone, errors.Is(x.err, storage.ErrNotExist):
		// A blob whose content is gone is 404 to the client and a loss to us.
		level = slog.LevelError
	case x.area == areaProbe:
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("request", x.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("route", x.route), slog.Int("status", status), slog.Int64("received", received), slog.Int64("sent", out.bytes),
		slog.Duration("took", took), slog.String("remote", x.actor.Address), slog.String("user", x.principal.Name),
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	if x.abort {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if x.stack != nil {
		attrs = append(attrs, slog.String("stack", string(x.stack)))
	}
	s.log.LogAttrs(r.Context(), level, "request served", attrs...)
}

// Serve answers on the listener until ctx ends; then it takes no new
// connections, is not ready any more, and lets the requests in flight finish
// for as long as the grace. It returns nil after a shutdown in which all
// did, context.DeadlineExceeded after one in which some were cut.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.health.stopping.Store(true)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		_ = srv.Close() // what is left is cut; err says that it was
		err = fmt.Errorf("finish requests in flight: %w", err)
	}
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
