package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/registry"
)

// TestLostServer kills the server under open connections: errors say
// "unavailable", and the same store works again once the server is back, with
// everything that it had acknowledged.
func TestLostServer(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	b := bundle{clock: &clock{t: start}, outbox: &outbox{}}
	b.Store = New(openDB(t, server.Database(t)), Options{Clock: b.clock.now, Outbox: b.outbox})
	ctx := t.Context()
	b.repo(t, "org/a", auth.Public)
	check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))

	server.Kill(t)
	deadline := time.Now().Add(30 * time.Second)
	for name, call := range map[string]func() error{
		"read": func() error {
			_, err := b.Manifest(ctx, "org/a", registry.Reference{Tag: "v1"})
			return err
		},
		"write": func() error { return b.SetVisibility(ctx, "org/a", auth.Private) },
		"ping":  func() error { return b.db.Ping(ctx) },
	} {
		// A connection's own process may outlive the server's first one for a moment.
		err := call()
		for err == nil && time.Now().Before(deadline) {
			err = call()
		}
		if !registry.IsCode(err, registry.CodeUnavailable) {
			t.Errorf("%s without a server: %v", name, err)
		}
	}
	_, err := Open(ctx, server.URL(), OpenOptions{})
	wantCode(t, err, registry.CodeUnavailable)

	server.Start(t)
	// A killed server's first answers may still be about its recovery.
	deadline = time.Now().Add(30 * time.Second)
	for err := b.db.Ping(ctx); err != nil; err = b.db.Ping(ctx) {
		wantCode(t, err, registry.CodeUnavailable)
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	m, err := b.Manifest(ctx, "org/a", registry.Reference{Tag: "v1"})
	check(t, err)
	if string(m.Body) != "one" {
		t.Errorf("manifest is %q", m.Body)
	}
	check(t, b.PutManifest(ctx, model("org/a", "two", "v1")))
}

// TestCommitWithoutAnswer makes COMMIT fail after and before it took effect.
func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	lost := &commitError{net.ErrClosed}
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, tt := range []struct {
			name    string
			settled func(context.Context) (bool, error)
			want    registry.Code
		}{
			{"it is there", func(context.Context) (bool, error) { return true, nil }, ""},
			{"it is not there", func(context.Context) (bool, error) { return false, nil }, registry.CodeUnavailable},
			{"nobody knows", func(context.Context) (bool, error) { return true, errors.New("away") }, registry.CodeUnavailable},
			{"nobody can tell", nil, registry.CodeUnavailable},
		} {
			runs := 0
			settled := tt.settled
			err := b.write(ctx, "test", settled, func(*sql.Tx) error { runs++; return lost })
			if code := codeOf(err); code != tt.want || runs != 1 {
				t.Errorf("%s: %v after %d runs, want %q", tt.name, err, runs, tt.want)
			}
		}

		// What the look-ups of the stores say before and after.
		b.repo(t, "org/a", auth.Public)
		u := b.begin(t, "org/a")
		if _, err := b.committed(ctx, b.db.reader, u, digest("x")); codeOf(err) != registry.CodeBlobUploadUnknown {
			t.Errorf("before the commit: %v", err)
		}
		want, err := b.CommitUpload(ctx, u, digest("x"), 1)
		check(t, err)
		if got, err := b.committed(ctx, b.db.reader, u, digest("x")); err != nil || got != want {
			t.Errorf("after the commit: %+v, %v", got, err)
		}
		w := model("org/a", "one", "v1")
		if there, err := b.hasManifest(ctx, w); there {
			t.Errorf("before the put: %v, %v", there, err)
		}
		check(t, b.PutManifest(ctx, w))
		if there, err := b.hasManifest(ctx, w); !there || err != nil {
			t.Errorf("after the put: %v, %v", there, err)
		}
		check(t, b.PutManifest(ctx, model("org/a", "two", "v1")))
		if there, err := b.hasManifest(ctx, w); there || err != nil {
			t.Errorf("after the tag moved on: %v, %v", there, err)
		}
	})
}

// TestConnectionCutBeforeCommit ends the server's side of a transaction
// before its COMMIT: the look-up runs on a new connection and tells the truth.
func TestConnectionCutBeforeCommit(t *testing.T) {
	t.Parallel()
	b := setup(t, Postgres)
	ctx := t.Context()
	lookups := 0
	err := b.write(ctx, "test", func(ctx context.Context) (bool, error) {
		lookups++
		_, err := b.Repository(ctx, "org/a")
		return err == nil, err
	}, func(tx *sql.Tx) error {
		var pid int64
		if _, err := tx.ExecContext(ctx, "INSERT INTO repositories (name, visibility, created_at, updated_at) VALUES ('org/a', 'public', 0, 0)"); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		_, err := b.db.writer.ExecContext(ctx, "SELECT pg_terminate_backend($1, 10000)", pid)
		return err
	})
	wantCode(t, err, registry.CodeUnavailable)
	if lookups != 1 {
		t.Errorf("%d look-ups, want 1", lookups)
	}
	_, err = b.Repository(ctx, "org/a")
	wantCode(t, err, registry.CodeNameUnknown)
}

func codeOf(err error) registry.Code {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return "no code"
	}
	return ""
}

// TestPanicGivesTheWriterBack panics inside a transaction.
func TestPanicGivesTheWriterBack(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = b.write(ctx, "test", nil, func(tx *sql.Tx) error {
				if _, err := b.lockRepository(ctx, tx, "org/a"); err != nil {
					return err
				}
				panic("outbox")
			})
		}()
		check(t, b.PutManifest(ctx, manifest("org/a", "{}", "v1")))
	})
}

// TestLosersRunAgain makes transactions lose against others.
func TestLosersRunAgain(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		if b.db.engine == SQLite {
			t.Skip("one writer never loses")
		}
		b.repo(t, "org/a", auth.Public)
		b.repo(t, "org/b", auth.Public)
		// Two transactions that take two locks in opposite order.
		locked := make(chan struct{}, 2)
		order := [][]registry.Name{{"org/a", "org/b"}, {"org/b", "org/a"}}
		for _, err := range together(2, func(i int) error {
			first := true
			return b.write(ctx, "deadlock", nil, func(tx *sql.Tx) error {
				if _, err := b.lockRepository(ctx, tx, order[i][0]); err != nil {
					return err
				}
				if first {
					first = false
					locked <- struct{}{}
					for len(locked) < cap(locked) {
						if err := pause(ctx, 1); err != nil {
							return err
						}
					}
				}
				_, err := b.lockRepository(ctx, tx, order[i][1])
				return err
			})
		}) {
			check(t, err)
		}
	})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]condition{
		"40001": conditionRetry, "40P01": conditionRetry, "53100": conditionNoSpace, "53300": conditionLost,
		"57P01": conditionLost, "57P03": conditionLost, "08006": conditionLost, "25006": conditionLost,
		"23503": conditionForeign, "23505": conditionOther, "42601": conditionOther, "57014": conditionOther,
	} {
		if got := postgresCondition(code); got != want {
			t.Errorf("SQLSTATE %s is condition %d, want %d", code, got, want)
		}
	}
	for code, want := range map[int]condition{
		5: conditionRetry, 5 | 2<<8: conditionRetry, 6: conditionRetry, 13: conditionNoSpace, 10 | 4<<8: conditionLost,
		8: conditionLost, 9: conditionLost, 19 | 3<<8: conditionForeign, 19 | 8<<8: conditionOther, 1: conditionOther,
	} {
		if got := sqliteCondition(code); got != want {
			t.Errorf("SQLite result %d is condition %d, want %d", code, got, want)
		}
	}
	for err, want := range map[error]condition{
		context.DeadlineExceeded: conditionLost, context.Canceled: conditionOther, io.EOF: conditionLost, io.ErrShortWrite: conditionOther,
	} {
		if got := conditionOf(fmt.Errorf("test: %w", err)); got != want {
			t.Errorf("%v is condition %d, want %d", err, got, want)
		}
	}
}
