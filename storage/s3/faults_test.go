package s3_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// faults is a proxy in front of an S3 server that answers some requests wrongly.
type faults struct {
	URL string

	mu    sync.Mutex
	rules []*rule
	seen  []string // kinds of all requests, in order
}

// rule spoils the requests of one kind.
type rule struct {
	kind  string // as kindOf says
	times int    // requests to spoil; below zero is all of them
	act   func(w http.ResponseWriter, r *http.Request, forward http.Handler)
}

func newFaults(t *testing.T, endpoint string) *faults {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		// The host is signed, so the one that the client meant goes on.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { reset(w) },
	}
	f := &faults{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rule := f.take(kindOf(r)); rule != nil {
			rule.act(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	f.URL = srv.URL
	return f
}

// kindOf names the operation of a request as the S3 API does.
func kindOf(r *http.Request) string {
	q := r.URL.Query()
	object := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	tail := strings.Contains(r.URL.Path, "/tails/")
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "UploadPart"
	case r.Method == http.MethodPut && tail:
		return "PutTail"
	case r.Method == http.MethodPut && object:
		return "PutObject"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodDelete && tail:
		return "DeleteTail"
	case r.Method == http.MethodDelete:
		return "DeleteObject"
	case r.Method == http.MethodGet && q.Has("uploadId"):
		return "ListParts"
	case r.Method == http.MethodGet && tail:
		return "GetTail"
	case r.Method == http.MethodGet && object:
		return "GetObject"
	case r.Method == http.MethodHead && object:
		return "HeadObject"
	case r.Method == http.MethodHead:
		return "HeadBucket"
	}
	return "other"
}

// spoil adds a rule.
func (f *faults) spoil(kind string, times int, act func(http.ResponseWriter, *http.Request, http.Handler)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &rule{kind, times, act})
}

// heal ends all rules.
func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// count says how many requests of a kind came.
func (f *faults) count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.seen {
		if s == kind {
			n++
		}
	}
	return n
}

func (f *faults) take(kind string) *rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, kind)
	i := slices.IndexFunc(f.rules, func(r *rule) bool { return r.kind == kind && r.times != 0 })
	if i < 0 {
		return nil
	}
	f.rules[i].times--
	return f.rules[i]
}

type act = func(http.ResponseWriter, *http.Request, http.Handler)

// answer sends an S3 error, with whatever status.
func answer(status int, code string) act {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
			`<Error><Code>`+code+`</Code><Message>made up by the test</Message></Error>`)
	}
}

// cut ends the connection in the middle of the request.
func cut(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, 100_000)
	reset(w)
}

// lose lets the request take place and ends the connection before the answer.
func lose(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(httptest.NewRecorder(), r)
	reset(w)
}

// pretend says yes and does nothing.
func pretend(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	w.Header().Set("Content-Type", "application/xml")
	if r.Method == http.MethodPost {
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>"x-1"</ETag></CompleteMultipartUploadResult>`)
	}
}

// tear sends the head of a success without having done anything, and ends.
func tear(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = http.NewResponseController(w).Flush()
	reset(w)
}

// hang neither reads nor answers until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// shorten promises the whole body and delivers a half of it.
func shorten(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	rec := httptest.NewRecorder()
	forward.ServeHTTP(rec, r)
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	reset(w)
}

// deafen answers a range with a whole object, as some proxies do.
func deafen(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	_, _ = w.Write(make([]byte, 20))
}

// reset ends the connection without a goodbye.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
