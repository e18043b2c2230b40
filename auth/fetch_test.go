package auth

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An issuer with a certificate cannot lead to an address without one, not even
// on this machine.
func TestFetcherSchemes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		issuer, address string
		ok              bool
	}{
		{"https://ci.example", "https://ci.example/keys", true},
		{"https://ci.example", "https://keys.example/keys", true},
		{"https://ci.example", "http://ci.example/keys", false},
		{"https://ci.example", "http://127.0.0.1/keys", false},
		{"https://ci.example", "http://localhost/keys", false},
		{"http://127.0.0.1:1", "http://127.0.0.1:2/keys", true},
		{"http://127.0.0.1:1", "http://[::1]:2/keys", true},
		{"http://127.0.0.1:1", "http://169.254.169.254/keys", false},
		{"http://127.0.0.1:1", "http://127.0.0.1.example/keys", false},
		{"http://127.0.0.1:1", "ftp://127.0.0.1/keys", false},
	} {
		f := newFetcher(tc.issuer, time.Now)
		asked := false
		f.base = roundTrip(func(*http.Request) (*http.Response, error) {
			asked = true
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.address, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := f.client().Do(req)
		if (err == nil) != tc.ok || asked != tc.ok {
			t.Errorf("%s from %s: %v, asked %v", tc.address, tc.issuer, err, asked)
		}
		var failed *fetchError
		if err == nil {
			_ = resp.Body.Close()
		} else if !errors.As(err, &failed) {
			t.Errorf("%s: %v is no fetchError", tc.address, err)
		}
	}
}
