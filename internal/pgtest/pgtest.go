package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carat-hub/carat/internal/need"
)

const install = "apt-get install postgresql"

// shared is the server that New uses, started by the first test that needs it. Nothing stops it: it ends with the process.
var shared = sync.OnceValues(func() (*Server, error) {
	bin := binaries()
	if bin == "" {
		return nil, nil
	}
	return start(bin)
})

// New returns the URL of an empty database that only this test uses and that is dropped when the test ends. Where no
// server is installed, the test is skipped, or fails when CI=true.
func New(t testing.TB) string {
	t.Helper()
	if base := os.Getenv("TEST_DATABASE_URL"); base != "" {
		return create(t, base)
	}
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		need.Missing(t, "the PostgreSQL server", install)
	}
	return create(t, s.URL())
}

// create makes a database on the server of base and returns its URL, which differs from base only in the database.
func create(t testing.TB, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("parse database URL: %v", err)
	}
	name := "carat_test_" + strings.ToLower(rand.Text()[:12])
	if err := exec(base, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec(base, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func exec(base, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
