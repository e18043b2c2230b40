package pgtest_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/carat-hub/carat/internal/pgtest"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func strings(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func TestNewGivesEmptyDatabases(t *testing.T) {
	t.Parallel()
	one, two := connect(t, pgtest.New(t)), connect(t, pgtest.New(t))
	run(t, one, "CREATE TABLE t (x TEXT)")
	run(t, two, "CREATE TABLE t (x TEXT)") // would fail in the same database
}

func TestNewDropsItsDatabase(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("user", func(t *testing.T) {
		u, err := url.Parse(pgtest.New(t))
		if err != nil {
			t.Fatal(err)
		}
		name = u.Path[1:]
		connect(t, u.String()) // still open when the database is dropped
	})
	if name == "" {
		t.Skip("no server")
	}
	conn := connect(t, pgtest.New(t))
	if got := strings(t, conn, "SELECT datname::text FROM pg_database WHERE datname = '"+name+"'"); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
}

func TestServerSurvives(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t)
	url := s.Database(t)
	run(t, connect(t, url), "CREATE TABLE t (x TEXT)")
	var want []string
	for _, tc := range []struct {
		name string
		down func(testing.TB)
	}{{"stop", s.Stop}, {"kill", s.Kill}} {
		run(t, connect(t, url), "INSERT INTO t VALUES ('"+tc.name+"')")
		want = append(want, tc.name)
		tc.down(t)
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("%s: the server still answers", tc.name)
		}
		s.Start(t)
		got := strings(t, connect(t, url), "SELECT x FROM t")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows after %s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestServerIsLikeProduction pins what the product checks or what hides its bugs.
func TestServerIsLikeProduction(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t)
	conn := connect(t, s.Database(t))
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if diff := cmp.Diff([]string{"on"}, strings(t, conn, "SHOW "+setting)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", setting, diff)
		}
	}
	got := strings(t, conn, "SELECT x FROM (VALUES ('B'), ('a'), ('C')) v(x) ORDER BY x")
	if diff := cmp.Diff([]string{"a", "B", "C"}, got); diff != "" {
		t.Errorf("sorted text (-want +got):\n%s", diff)
	}
}
