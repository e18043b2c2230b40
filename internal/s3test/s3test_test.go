package s3test_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/internal/s3test"
)

func sum(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// do sends a request signed with AWS signature version 4, the body left out of the signature.
func do(t *testing.T, s *s3test.Server, method, path, body string) (int, string) {
	t.Helper()
	u, err := url.Parse(s.Endpoint + path)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, u.String(), bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	const payload = "UNSIGNED-PAYLOAD"
	stamp := time.Now().UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/" + s.Region + "/s3/aws4_request"
	canonical := strings.Join([]string{
		method, u.EscapedPath(), u.RawQuery,
		"host:" + u.Host, "x-amz-content-sha256:" + payload, "x-amz-date:" + stamp, "",
		"host;x-amz-content-sha256;x-amz-date", payload,
	}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + s.SecretKey)
	for _, part := range strings.Split(scope, "/") {
		key = sum(key, part)
	}
	signature := hex.EncodeToString(sum(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hashed[:])))
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,"+
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s", s.AccessKey, scope, signature))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func put(t *testing.T, s *s3test.Server, key, body string) {
	t.Helper()
	if status, got := do(t, s, http.MethodPut, "/"+s.Bucket+"/"+key, body); status != http.StatusOK {
		t.Fatalf("PUT %s: status %d: %s", key, status, got)
	}
}

func want(t *testing.T, s *s3test.Server, key string, status int, body string) {
	t.Helper()
	gotStatus, gotBody := do(t, s, http.MethodGet, "/"+s.Bucket+"/"+key, "")
	if gotStatus != status || (body != "" && gotBody != body) {
		t.Errorf("GET %s = %d, %q, want %d, %q", key, gotStatus, gotBody, status, body)
	}
}

func TestNewGivesEmptyBuckets(t *testing.T) {
	t.Parallel()
	one, two := s3test.New(t), s3test.New(t)
	if one.Endpoint != two.Endpoint || one.Bucket == two.Bucket {
		t.Fatalf("two servers or one bucket: %s %s, %s %s", one.Endpoint, one.Bucket, two.Endpoint, two.Bucket)
	}
	put(t, one, "objects/a", "hello")
	want(t, one, "objects/a", http.StatusOK, "hello")
	want(t, two, "objects/a", http.StatusNotFound, "")
	file, err := os.ReadFile(one.ObjectFile("objects/a"))
	if err != nil || string(file) != "hello" {
		t.Errorf("ObjectFile: %q, %v", file, err)
	}
}

func TestKeysMatter(t *testing.T) {
	t.Parallel()
	s := s3test.New(t)
	put(t, s, "a", "hello")
	s.SecretKey += "x"
	want(t, s, "a", http.StatusForbidden, "")
}

func TestURL(t *testing.T) {
	t.Parallel()
	s := &s3test.Server{Endpoint: "http://127.0.0.1:7070", Region: "r", Bucket: "b"}
	for prefix, want := range map[string]string{
		"":    "s3://b/?endpoint=http%3A%2F%2F127.0.0.1%3A7070&path-style=true&region=r",
		"p/q": "s3://b/p/q?endpoint=http%3A%2F%2F127.0.0.1%3A7070&path-style=true&region=r",
	} {
		if diff := cmp.Diff(want, s.URL(prefix)); diff != "" {
			t.Errorf("URL(%q) (-want +got):\n%s", prefix, diff)
		}
	}
}

func TestServerSurvives(t *testing.T) {
	t.Parallel()
	s := s3test.NewServer(t)
	for _, tc := range []struct {
		name string
		down func(testing.TB)
	}{{"stop", s.Stop}, {"kill", s.Kill}} {
		put(t, s, tc.name, "hello")
		tc.down(t)
		if resp, err := http.Get(s.Endpoint + "/health"); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: the server still answers", tc.name)
		}
		s.Start(t)
		want(t, s, tc.name, http.StatusOK, "hello")
	}
}
