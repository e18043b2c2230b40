package main

import (
	"testing"

	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/internal/s3test"
)

// pairing is a database with a blob storage that the hub must work on.
type pairing struct {
	name   string
	config func(t *testing.T) (serveConfig, func(string) string)
}

var pairings = []pairing{
	{"sqlite-folder", func(*testing.T) (serveConfig, func(string) string) {
		return serveConfig{}, nil
	}},
	{"postgres-s3", func(t *testing.T) (serveConfig, func(string) string) {
		s := s3test.New(t)
		keys := map[string]string{"AWS_ACCESS_KEY_ID": s.AccessKey, "AWS_SECRET_ACCESS_KEY": s.SecretKey}
		return serveConfig{DatabaseURL: pgtest.New(t), Blobs: s.URL("hub"), Redirect: defaultRedirect}, func(name string) string { return keys[name] }
	}},
}

// onPairings runs a test on a hub of every pairing.
func onPairings(t *testing.T, run func(t *testing.T, h *theHub, url string)) {
	t.Helper()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c, getenv := p.config(t)
			h, url := startHub(t, c, getenv)
			run(t, h, url)
		})
	}
}
