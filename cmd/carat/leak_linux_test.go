package main

import (
	"bytes"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// leakSlack is how many goroutines and descriptors may be there by chance.
const leakSlack = 3

// held is what the process holds.
type held struct{ goroutines, descriptors int }

func holding(t *testing.T) held {
	t.Helper()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() // the test's own
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return held{runtime.NumGoroutine(), len(open)}
}

// TestNothingLeaks starts a hub, uses it, breaks off what can be broken off
// and stops it, several times. It counts what the whole process has, so it
// must not run beside other tests.
func TestNothingLeaks(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			c, getenv := p.config(t)
			cycle := func(t *testing.T) {
				_, url := startHub(t, c, getenv)
				useHub(t, url)
			}
			t.Run("first", cycle) // what is made once for the process
			before := holding(t)
			for range 3 {
				t.Run("again", cycle)
			}
			var after held
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
				after = holding(t)
				if after.goroutines <= before.goroutines+leakSlack && after.descriptors <= before.descriptors+leakSlack {
					return
				}
			}
			var stacks bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("before %+v, after %+v\n%s", before, after, stacks.Bytes())
		})
	}
}

// useHub does a little of everything, and leaves requests unfinished.
func useHub(t *testing.T, url string) {
	t.Helper()
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	ref := host + "/leak/tiny-llama:v1"
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	u.must(t, "", "push", example, ref, "--wait")

	p := newPeer(t, url, "leak/blobs")
	large := content(t.Name(), 3<<20)
	digest := p.blob(t, large)
	for _, path := range []string{"/", "/leak/tiny-llama", "/v2/leak/blobs/blobs/" + digest, "/readyz"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil && resp.ContentLength > 1 {
			t.Errorf("GET %s: %v", path, err)
		}
		resp.Body.Close() // with most of it unread
	}
	cutChunk(t, p)
	cutWholeUpload(t, p)
}
