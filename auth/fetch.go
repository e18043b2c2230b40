package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Limits on what is read from issuers.
const (
	maxIssuerDocument = 1 << 20 // bytes
	issuerTimeout     = 10 * time.Second
	issuerKept        = 10 * time.Second
	maxIssuerKept     = 8 // documents
)

// fetcher reads the documents of one issuer of identity tokens: encrypted but on
// loopback hosts, without redirects, of limited size, and each at most once in
// ten seconds, however many tokens ask for it.
type fetcher struct {
	base  http.RoundTripper
	plain bool // the issuer is on a loopback host and has no certificate
	now   func() time.Time

	mu   sync.Mutex
	kept map[string]document
}

// document is an answer of an issuer.
type document struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
	err    error
}

// fetchError says that a document could not be read.
type fetchError struct {
	err    error
	status int // of an answer that is none, 0 when there was no answer
}

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

func newFetcher(issuer string, now func() time.Time) *fetcher {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	return &fetcher{base: t, plain: strings.HasPrefix(issuer, "http://"), now: now, kept: make(map[string]document)}
}

// client returns a client that reads through f.
func (f *fetcher) client() *http.Client {
	return &http.Client{
		Transport: f, Timeout: issuerTimeout,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error { return errors.New("an issuer may not redirect") },
	}
}

// RoundTrip implements http.RoundTripper.
func (f *fetcher) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return f.fetch(r).response(r) // what is for one person only
	}
	address := r.URL.String()
	f.mu.Lock()
	d, ok := f.kept[address]
	f.mu.Unlock()
	if !ok || f.now().Sub(d.at) >= issuerKept {
		d = f.fetch(r)
		f.mu.Lock()
		if len(f.kept) >= maxIssuerKept {
			clear(f.kept)
		}
		f.kept[address] = d
		f.mu.Unlock()
	}
	return d.response(r)
}

// response is the document as the answer to a request.
func (d document) response(r *http.Request) (*http.Response, error) {
	if d.err != nil {
		return nil, d.err
	}
	return &http.Response{
		Status: http.StatusText(d.status), StatusCode: d.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: d.header.Clone(), Body: io.NopCloser(bytes.NewReader(d.body)), ContentLength: int64(len(d.body)), Request: r,
	}, nil
}

func (f *fetcher) fetch(r *http.Request) document {
	d := document{at: f.now()}
	fail := func(err error) document {
		d.err = &fetchError{fmt.Errorf("read %s: %w", r.URL.Redacted(), err), d.status}
		return d
	}
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !f.plain || !isLoopback(r.URL.Hostname())) {
		return fail(errors.New("an issuer's documents come by https"))
	}
	// What is fetched is kept for others: it does not end with who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), issuerTimeout)
	defer cancel()
	resp, err := f.base.RoundTrip(r.Clone(ctx))
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerDocument+1))
	switch {
	case err != nil:
		return fail(err)
	case len(body) > maxIssuerDocument:
		return fail(fmt.Errorf("longer than %d bytes", maxIssuerDocument))
	case resp.StatusCode != http.StatusOK:
		d.status = resp.StatusCode
		return fail(fmt.Errorf("status %d", resp.StatusCode))
	}
	d.status, d.header, d.body = resp.StatusCode, resp.Header, body
	return d
}

// isLoopback reports whether a host name or address is this machine's own.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && net.IP(ip.AsSlice()).IsLoopback()
}
