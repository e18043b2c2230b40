package registrytest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Target is a running hub to test.
type Target struct {
	URL      string // base, without a trailing slash
	User     string // an administrator
	Password string

	// SetVisibility makes a repository "public" or "private".
	SetVisibility func(t *testing.T, repository, visibility string)
}

// Run runs the whole suite. Every test works in repositories of its own.
func Run(t *testing.T, target Target) {
	t.Helper()
	for _, group := range []struct {
		name string
		run  func(*testing.T, Target)
	}{
		{"access", testAccess},
		{"uploads", testUploads},
		{"blobs", testBlobs},
		{"manifests", testManifests},
		{"tags", testTags},
		{"referrers", testReferrers},
		{"errors", testErrors},
		{"model", testModel},
		{"concurrency", testConcurrency},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, target) })
	}
}

// caller is one client in one repository.
type caller struct {
	target Target
	repo   string
	http   *http.Client
	mu     sync.Mutex
	tokens map[string]string
	anon   bool
}

// in returns an administrator's client in a repository named after the test.
func (target Target) in(t *testing.T) *caller {
	name := strings.ToLower(t.Name())
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	sum := sha256.Sum256([]byte(t.Name()))
	return target.at(fmt.Sprintf("suite/%s-%s", strings.Trim(name[max(0, len(name)-40):], "-"), hex.EncodeToString(sum[:4])))
}

func (target Target) at(repo string) *caller {
	return &caller{target: target, repo: repo, tokens: map[string]string{}, http: &http.Client{}}
}

// anonymous returns a client without credentials in the same repository.
func (c *caller) anonymous() *caller {
	a := c.target.at(c.repo)
	a.anon = true
	return a
}

// token gets a token for a scope by basic authentication.
func (c *caller) token(t *testing.T, scopes ...string) string {
	t.Helper()
	key := strings.Join(scopes, " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	if tok := c.tokens[key]; tok != "" {
		return tok
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.target.URL+"/token?"+url.Values{"service": {"carat"}, "scope": scopes}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.anon {
		req.SetBasicAuth(c.target.User, c.target.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("token for %q: status %d, error %v", key, resp.StatusCode, err)
	}
	c.tokens[key] = answer.Token
	return answer.Token
}

// request is what do sends. A path without a leading slash is below the
// caller's repository.
type request struct {
	method string
	path   string
	header map[string]string
	body   []byte
	stream io.Reader // instead of body, without Content-Length
	scopes []string  // of the token; pull, push and delete on the repository when nil
	bare   bool      // send no credentials
}

// response is an answer read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (c *caller) url(path string) string {
	switch {
	case strings.HasPrefix(path, "http://"):
		return path
	case strings.HasPrefix(path, "/"):
		return c.target.URL + path
	}
	return c.target.URL + "/v2/" + c.repo + "/" + path
}

func (c *caller) do(t *testing.T, r request) response {
	t.Helper()
	body := r.stream
	if body == nil && r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, c.url(r.path), body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if !r.bare && !c.anon {
		scopes := r.scopes
		if scopes == nil {
			scopes = []string{"repository:" + c.repo + ":pull,push,delete"}
		}
		req.Header.Set("Authorization", "Bearer "+c.token(t, scopes...))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read answer: %v", r.method, r.path, err)
	}
	return response{resp.StatusCode, resp.Header, got}
}

// expect is do with the status that must come back.
func (c *caller) expect(t *testing.T, status int, r request) response {
	t.Helper()
	got := c.do(t, r)
	if got.status != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", r.method, r.path, got.status, status, got.body)
	}
	return got
}

// code returns the first error code of an answer.
func (r response) code() string {
	var e struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

func (r response) check(t *testing.T, header, want string) {
	t.Helper()
	if got := r.header.Get(header); got != want {
		t.Errorf("header %s is %q, want %q", header, got, want)
	}
}

func digestOf(p []byte) string {
	sum := sha256.Sum256(p)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func digest512(p []byte) string {
	sum := sha512.Sum512(p)
	return "sha512:" + hex.EncodeToString(sum[:])
}

// content returns n bytes that differ from those of every other seed.
func content(seed string, n int) []byte {
	p := make([]byte, 0, n+sha256.Size)
	for i := 0; len(p) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", seed, i))
		p = append(p, sum[:]...)
	}
	return p[:n]
}

// pushBlob uploads a blob in one request and returns its digest.
func (c *caller) pushBlob(t *testing.T, p []byte) string {
	t.Helper()
	d := digestOf(p)
	if p == nil {
		p = []byte{}
	}
	c.expect(t, http.StatusCreated, request{method: "POST", path: "blobs/uploads/?digest=" + d, body: p})
	return d
}

// object is a JSON object in tests.
type object = map[string]any

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeLayer    = "application/octet-stream"
	typeEmpty    = "application/vnd.oci.empty.v1+json"
)

func descriptor(mediaType string, p []byte) object {
	return object{"mediaType": mediaType, "digest": digestOf(p), "size": len(p)}
}

// image returns a manifest with one layer and changes on top; a nil value
// removes the key.
func image(layer []byte, changes object) []byte {
	m := object{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config": descriptor(typeEmpty, []byte("{}")),
		"layers": []any{descriptor(typeLayer, layer)},
	}
	return encode(m, changes)
}

func encode(m, changes object) []byte {
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	p, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return p
}

// pushImage uploads an image with one layer under a tag or digest, "" for
// its own digest, and returns manifest and digest.
func (c *caller) pushImage(t *testing.T, reference string, layer []byte, changes object) (body []byte, digest string) {
	t.Helper()
	c.pushBlob(t, []byte("{}"))
	c.pushBlob(t, layer)
	body = image(layer, changes)
	digest = digestOf(body)
	if reference == "" {
		reference = digest
	}
	got := c.expect(t, http.StatusCreated, request{
		method: "PUT", path: "manifests/" + reference, body: body, header: map[string]string{"Content-Type": typeManifest},
	})
	got.check(t, "Docker-Content-Digest", digest)
	return body, digest
}
