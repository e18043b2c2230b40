package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/internal/s3test"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// TestWorker pushes to a server that verifies nothing, and starts a worker
// on its database and bucket.
func TestWorker(t *testing.T) {
	t.Parallel()
	s := s3test.New(t)
	keys := s3keys(s)
	c := serveConfig{DatabaseURL: pgtest.New(t), Blobs: s.URL("hub"), Redirect: defaultRedirect, VerifyTimeout: time.Minute}
	h, url := startHub(t, c, keys)
	sh := newShell(t)
	host := strings.TrimPrefix(url, "http://")
	sh.run(0, testPassword, "login", host, "-u", adminName, "--password-stdin")
	sh.run(0, "", "push", exampleModel, host+"/demo/tiny-llama:v1")
	version, err := h.registry.Version(t.Context(), auth.System("demo/tiny-llama", auth.Pull), registry.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"worker", "--data", t.TempDir(), "--database-url", c.DatabaseURL, "--blobs", c.Blobs, "--verify-workers", "2"},
			keys, strings.NewReader(""), &stdout, &stderr)
	}()
	eventually(t, "the worker verifies the model", func() bool {
		v, err := h.store.Verification(t.Context(), "demo/tiny-llama", version.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return v.State == verify.StatePassed
	})
	cancel()
	if code := <-ended; code != 0 || !strings.Contains(stdout.String(), "2 verifications at a time") {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}

func TestWorkerRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"SQLite":     {[]string{"--blobs", "s3://bucket"}, "a worker shares a hub's Postgres"},
		"no blobs":   {[]string{"--database-url", "postgres://localhost/carat"}, "a worker reads the hub's blobs"},
		"no workers": {[]string{"--database-url", "postgres://localhost/carat", "--blobs", "s3://bucket", "--verify-workers", "0"}, "--verify-workers must be above zero"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr := newShell(t).run(2, "", append([]string{"worker"}, tt.args...)...)
			if !strings.Contains(stderr, tt.want) {
				t.Errorf("%s", stderr)
			}
		})
	}
}
