package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

// peer is a client that speaks plain HTTP to one repository, so that it can
// do what no client library would. Its methods may be called concurrently.
type peer struct {
	hub   string // base URL
	repo  string
	token string
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// newPeer returns a peer with a token that holds for the whole test.
func newPeer(t *testing.T, hub, repo string) *peer {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet,
		hub+"/token?"+url.Values{"service": {tokenService}, "scope": {"repository:" + repo + ":pull,push,delete"}}.Encode(), nil))(t)
	req.SetBasicAuth(adminName, testPassword)
	got := must(send(req))(t)
	var answer struct{ Token string }
	if err := json.Unmarshal(got.body, &answer); err != nil || answer.Token == "" {
		t.Fatalf("token: status %d, %s", got.status, got.body)
	}
	return &peer{hub: hub, repo: repo, token: answer.Token}
}

func send(req *http.Request) (reply, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body}, err
}

// do sends a request. A path without a leading slash is below the repository.
func (p *peer) do(ctx context.Context, method, path string, body io.Reader, header ...string) (reply, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + p.repo + "/" + path
	}
	req, err := http.NewRequestWithContext(ctx, method, p.hub+path, body)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(req)
}

// want is do, and fails the test unless status and error code are those.
func (p *peer) want(t *testing.T, status int, code registry.Code, method, path string, body []byte, header ...string) reply {
	t.Helper()
	got, err := p.do(t.Context(), method, path, bytes.NewReader(body), header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	got.wants(t, method+" "+path, status, code)
	return got
}

// wants fails the test unless the answer has that status and error code, and
// with an error code also a message and, where waiting helps, Retry-After.
func (r reply) wants(t *testing.T, what string, status int, code registry.Code) {
	t.Helper()
	if r.status != status || r.code() != code {
		t.Fatalf("%s: status %d, code %q, want %d, %q\n%.500s", what, r.status, r.code(), status, code, r.body)
	}
	if retry := r.header.Get("Retry-After"); (retry != "") != (code == registry.CodeUnavailable || code == registry.CodeTooManyRequests) {
		t.Errorf("%s: Retry-After is %q", what, retry)
	}
}

// code is the error code of an answer, "" when it has none or no message.
func (r reply) code() registry.Code {
	var e struct {
		Errors []struct {
			Code    registry.Code
			Message string
		}
	}
	if r.status < 400 || json.Unmarshal(r.body, &e) != nil || len(e.Errors) != 1 || e.Errors[0].Message == "" {
		return ""
	}
	return e.Errors[0].Code
}

// content returns n bytes that differ from those of every other seed.
func content(seed string, n int) []byte {
	p := make([]byte, (n+7)/8*8)
	random := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], random.Uint64())
	}
	return p[:n]
}

func digestOf(p []byte) string { return registry.DigestOf(registry.SHA256, p).String() }

// blob pushes a blob in one request.
func (p *peer) blob(t *testing.T, content []byte) string {
	t.Helper()
	d := digestOf(content)
	p.want(t, http.StatusCreated, "", http.MethodPost, "blobs/uploads/?digest="+d, content)
	return d
}

// session begins an upload and returns the path that goes on with it.
func (p *peer) session(t *testing.T) string {
	t.Helper()
	return p.want(t, http.StatusAccepted, "", http.MethodPost, "blobs/uploads/", nil).header.Get("Location")
}

// imageOf is the manifest of an image whose one layer has the content.
func imageOf(layer []byte) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},`+
		`"layers":[{"mediaType":"application/octet-stream","digest":%q,"size":%d}]}`,
		registry.MediaTypeOCIManifest, digestOf([]byte("{}")), digestOf(layer), len(layer))
}

// ledger is what the hub has acknowledged.
type ledger struct {
	blobs map[string][]byte // by digest
	tags  map[string][]byte // manifests
}

// push pushes an image under a tag and writes it into the ledger.
func (l *ledger) push(t *testing.T, p *peer, tag string, layer []byte) {
	t.Helper()
	if l.blobs == nil {
		l.blobs, l.tags = map[string][]byte{}, map[string][]byte{}
	}
	for _, content := range [][]byte{[]byte("{}"), layer} {
		l.blobs[p.blob(t, content)] = content
	}
	p.want(t, http.StatusCreated, "", http.MethodPut, "manifests/"+tag, imageOf(layer), "Content-Type", registry.MediaTypeOCIManifest)
	l.tags[tag] = imageOf(layer)
}

// check fails the test unless the hub serves all that it acknowledged, byte for byte.
func (l *ledger) check(t *testing.T, p *peer) {
	t.Helper()
	for d, content := range l.blobs {
		if got := p.want(t, http.StatusOK, "", http.MethodGet, "blobs/"+d, nil); !bytes.Equal(got.body, content) {
			t.Errorf("blob %s of %d bytes has %d other ones now", d, len(content), len(got.body))
		}
	}
	for tag, body := range l.tags {
		if got := p.want(t, http.StatusOK, "", http.MethodGet, "manifests/"+tag, nil); !bytes.Equal(got.body, body) {
			t.Errorf("tag %s is %s, want %s", tag, got.body, body)
		}
	}
}

// eventually polls until done says so, for at most a minute.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ready polls until /readyz has the status and says that of the part.
func (p *peer) ready(t *testing.T, status int, part, says string) {
	t.Helper()
	eventually(t, fmt.Sprintf("/readyz answers %d and %s %s", status, part, says), func() bool {
		got, err := p.do(t.Context(), http.MethodGet, "/readyz", nil)
		var report struct{ Parts map[string]string }
		return err == nil && got.status == status && json.Unmarshal(got.body, &report) == nil && report.Parts[part] == says
	})
	p.want(t, http.StatusOK, "", http.MethodGet, "/livez", nil)
}

// slowly sends a request whose body comes in two halves. It returns when the
// hub is serving it beside the others, with half of the body sent; finish
// sends the rest.
func (p *peer) slowly(t *testing.T, others int, method, path string, body []byte) (finish func() (reply, error)) {
	t.Helper()
	type result struct {
		reply
		err error
	}
	r, w := io.Pipe()
	answered := make(chan result, 1)
	p.inFlight(t, others)
	go func() {
		got, err := p.do(t.Context(), method, path, r)
		answered <- result{got, err}
		_ = r.Close()
	}()
	if _, err := w.Write(body[:len(body)/2]); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	p.inFlight(t, others+1)
	return func() (reply, error) {
		// When the hub has answered already nobody takes the rest.
		if _, err := w.Write(body[len(body)/2:]); err == nil {
			_ = w.Close()
		}
		got := <-answered
		return got.reply, got.err
	}
}

// inFlight waits until the hub serves n requests beside the one that asks.
func (p *peer) inFlight(t *testing.T, n int) {
	t.Helper()
	metric := fmt.Sprintf("\ncarat_http_requests_in_flight %d\n", n+1)
	eventually(t, fmt.Sprint("requests in flight: ", n), func() bool {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, p.hub+"/metrics", nil))(t)
		req.SetBasicAuth(adminName, testPassword)
		got := must(send(req))(t)
		got.wants(t, "the metrics", http.StatusOK, "")
		return strings.Contains(string(got.body), metric)
	})
}
