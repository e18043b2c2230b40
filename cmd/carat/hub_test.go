package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry/registrytest"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/sandbox"
)

const testPassword = "correct horse battery staple"

// TestMain lets this binary be the sandboxed child of the hubs that it runs.
func TestMain(m *testing.M) {
	sandbox.Main(verify.Tasks(check.InProcess{}))
	if os.Getenv(startOnly) != "" {
		return
	}
	os.Exit(m.Run())
}

// startOnly is the environment variable that ends this program where its main
// begins (BenchmarkSpawn).
const startOnly = "CARAT_TEST_START_ONLY"

// startHub serves a hub on a free port until the test ends.
func startHub(t testing.TB, c serveConfig, getenv func(string) string) (*theHub, string) {
	t.Helper()
	if c.Visibility == "" {
		c.Visibility = string(auth.Public)
	}
	if c.Data == "" {
		c.Data = t.TempDir()
	}
	if c.VerifyTimeout == 0 { // else the test decides about verification
		c.VerifyWorkers, c.VerifyTimeout = 1, time.Minute
	}
	c.CacheSize = 1 << 30
	c.Sandbox.layers = "default"
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	h, err := newHub(t.Context(), c, getenv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ensureAdmin(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the hub does not stop")
		}
		if err := h.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h, "http://" + l.Addr().String()
}

func target(h *theHub, url string) registrytest.Target {
	return registrytest.Target{
		URL: url, User: adminName, Password: testPassword,
		SetVisibility: func(t *testing.T, repository, visibility string) {
			t.Helper()
			if err := h.registry.SetVisibility(t.Context(), auth.System(repository, auth.Maintain), auth.Visibility(visibility)); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, url string) {
		registrytest.Run(t, target(h, url))
	})
}
