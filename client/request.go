package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/carat-hub/carat/registry"
)

// maxErrorBody bounds what is read of an error answer, in bytes.
const maxErrorBody = 64 << 10

// maxRetryAfter is the longest wait that a server may ask for.
const maxRetryAfter = 5 * time.Minute

// ResponseError is an answer that is not the one hoped for.
// errors.As and registry.IsCode find the registry's error in it.
type ResponseError struct {
	Method string
	URL    string // without the query, which may hold signatures
	Status int
	Code   registry.Code // "" when the answer had none
	// Message is what the registry said, cleaned of control characters.
	Message string
	// RetryAfter is how long the server asks to wait, 0 when it does not.
	RetryAfter time.Duration

	json bool // the answer was JSON, so it comes from an API
}

// Error implements error.
func (e *ResponseError) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		s += ": " + string(e.Code)
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Unwrap returns the registry's error, nil when the answer had none.
func (e *ResponseError) Unwrap() error {
	if e.Code == "" {
		return nil
	}
	return registry.Errorf(e.Code, "%s", e.Message)
}

// request is one call of a registry's API.
type request struct {
	method string
	url    *url.URL
	header http.Header
	// body makes the body anew for every sending, nil for none.
	body func() io.Reader
	size int64 // of the body in bytes
}

// expectFrom is from which size of the body on the server is asked first
// whether it wants it: a refused token costs no bytes then.
const expectFrom = 1 << 20

// send makes one call and returns the answer when its status is among those
// wanted. Otherwise the error is a *ResponseError. The transfer ends with
// errStalled when nothing moves for longer than Options.Stall; closing
// the answer's body ends that watch.
func (r *remote) send(ctx context.Context, q request, want ...int) (*http.Response, error) {
	ctx, watch := watchStall(ctx, r.c.opts.Stall)
	resp, err := r.roundTrip(ctx, q, watch)
	if err != nil {
		watch.stop()
		return nil, redact(err)
	}
	if slices.Contains(want, resp.StatusCode) {
		resp.Body = &watchedBody{resp.Body, watch}
		return resp, nil
	}
	err = r.responseError(q.method, resp)
	watch.stop()
	return nil, err
}

func (r *remote) roundTrip(ctx context.Context, q request, watch *stallWatch) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), nil)
	if err != nil {
		return nil, err
	}
	if q.header != nil {
		req.Header = q.header.Clone()
	}
	if q.body != nil && q.size > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(watch.reading(q.body())), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = q.size
		if q.size >= expectFrom {
			req.Header.Set("Expect", "100-continue")
		}
	} else if q.method == http.MethodPost || q.method == http.MethodPut || q.method == http.MethodPatch {
		req.Body = http.NoBody
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, tokenError(err)
	}
	r.mu.Lock()
	r.reached = true
	r.mu.Unlock()
	return resp, nil
}

// tokenError gives the refusal of a token service the form of every other one.
func tokenError(err error) error {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) {
		return err
	}
	e := &ResponseError{Method: answer.Method, URL: bareURL(answer.URL), Status: answer.StatusCode, json: true}
	if len(answer.Errors) > 0 {
		e.Code, e.Message = registry.Code(printable(answer.Errors[0].Code)), printable(answer.Errors[0].Message)
	}
	return e
}

// responseError reads an unwanted answer and closes it.
func (r *remote) responseError(method string, resp *http.Response) error {
	defer resp.Body.Close()
	e := &ResponseError{Method: method, URL: bareURL(resp.Request.URL), Status: resp.StatusCode, RetryAfter: r.retryAfter(resp.Header)}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	e.json = mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e // the status alone has to do
	}
	var doc struct {
		Errors []struct {
			Code    registry.Code `json:"code"`
			Message string        `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &doc) == nil && len(doc.Errors) > 0 {
		e.Code, e.Message = registry.Code(printable(string(doc.Errors[0].Code))), printable(doc.Errors[0].Message)
	}
	return e
}

func (r *remote) retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(r.c.opts.Now()), 0)
	}
	return 0
}

// printable makes foreign text safe for a terminal and short.
func printable(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func bareURL(u *url.URL) string {
	b := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return b.String()
}

// redact takes the query out of the URLs that net/http puts into errors:
// addresses of blobs and uploads may be signed.
func redact(err error) error {
	var e *url.Error
	if !errors.As(err, &e) {
		return err
	}
	u, perr := url.Parse(e.URL)
	if perr != nil {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return fmt.Errorf("%s %s: %w", strings.ToUpper(e.Op), bareURL(u), e.Err)
}

// retryable reports whether an error may be gone on the next attempt.
func (r *remote) retryable(err error) bool {
	var answer *ResponseError
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return answer.RetryAfter <= maxRetryAfter
		}
		return false
	}
	if errors.Is(err, errStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrForeignCredentials) || errors.Is(err, ErrDowngrade) {
		return false
	}
	var certificate *tls.CertificateVerificationError
	var path *fs.PathError
	if errors.As(err, &certificate) || errors.As(err, &path) {
		return false
	}
	// A host that has never answered is more likely mistyped than restarting.
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.reached
	}
	var network net.Error
	if errors.As(err, &network) {
		return true
	}
	// net/http has no type for a connection that ends in the middle of an answer or of a body being sent.
	text := err.Error()
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "transport connection broken") ||
		strings.Contains(text, "malformed HTTP response")
}

// backoff waits before the next attempt after n failures in a row, or
// returns err when there have been enough or it cannot pass.
func (r *remote) backoff(ctx context.Context, t *transfer, n int, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !r.retryable(err) {
		return err
	}
	if n >= r.c.opts.Attempts {
		return fmt.Errorf("gave up after %d attempts: %w", n, err)
	}
	delay := min(500*time.Millisecond<<min(n-1, 10), 30*time.Second)
	delay = delay/2 + rand.N(delay/2+1)
	var answer *ResponseError
	if errors.As(err, &answer) {
		delay = max(delay, answer.RetryAfter)
	}
	if t != nil {
		t.retry(err, delay)
	}
	return r.c.opts.Sleep(ctx, delay)
}

// try repeats send until it works or cannot work.
func (r *remote) try(ctx context.Context, t *transfer, q request, want ...int) (*http.Response, error) {
	for n := 1; ; n++ {
		resp, err := r.send(ctx, q, want...)
		if err == nil {
			return resp, nil
		}
		if err := r.backoff(ctx, t, n, err); err != nil {
			return nil, err
		}
	}
}

// drain ends an answer whose body does not matter, so that the connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // a body that breaks off only costs the connection
	_ = resp.Body.Close()
}

func bytesBody(p []byte) func() io.Reader {
	return func() io.Reader { return bytes.NewReader(p) }
}
