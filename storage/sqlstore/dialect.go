package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/carat-hub/carat/registry"
)

// Engine is a database engine.
type Engine string

// The engines. Their values are the folders of package migrations.
const (
	Postgres Engine = "postgres"
	SQLite   Engine = "sqlite"
)

// rowLock is what a SELECT at whose end it stands does to the rows it finds,
// until the transaction ends. SQLite needs none: it has one writer.
type rowLock string

const (
	lockKey    rowLock = " FOR KEY SHARE"          // they stay there
	lockChange rowLock = " FOR NO KEY UPDATE"      // nobody else changes them
	lockFree   rowLock = " FOR UPDATE SKIP LOCKED" // they are ours alone; those in use are left out
)

func (e Engine) lock(l rowLock) string {
	if e == Postgres {
		return string(l)
	}
	return ""
}

// txOptions are those of a write transaction. The locks above are made for
// READ COMMITTED, in which each statement sees what was committed before it.
func (e Engine) txOptions() *sql.TxOptions {
	if e == Postgres {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// condition is what an engine's error means to us.
type condition int

const (
	conditionOther   condition = iota
	conditionRetry             // the transaction lost against another one; run it again
	conditionLost              // the database is away, starting, stopping or full of connections
	conditionNoSpace           // its disk is full
	conditionForeign           // a row that is referred to is not there, or is still referred to
)

func conditionOf(err error) condition {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresCondition(pg.Code)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return sqliteCondition(lite.Code())
	}
	var (
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case errors.As(err, &connect),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return conditionLost
	case errors.Is(err, context.Canceled):
		return conditionOther
	case errors.Is(err, context.DeadlineExceeded): // only we set deadlines
		return conditionLost
	case errors.As(err, &network), pgconn.SafeToRetry(err):
		return conditionLost
	}
	return conditionOther
}

// postgresCondition sorts SQLSTATE codes (PostgreSQL documentation, appendix A).
func postgresCondition(code string) condition {
	switch code {
	case "40001", "40P01": // serialization failure, deadlock
		return conditionRetry
	case "53100": // disk full
		return conditionNoSpace
	case "23503", "23001": // foreign key, restrict violation
		return conditionForeign
	case "25006", "25P03", "40003": // read-only (a standby), idle timeout, completion unknown
		return conditionLost
	}
	switch {
	case strings.HasPrefix(code, "08"), // connection exception
		strings.HasPrefix(code, "53"),  // insufficient resources
		strings.HasPrefix(code, "57P"), // shutdown, crash, cannot connect now
		strings.HasPrefix(code, "58"):  // the server's own I/O
		return conditionLost
	}
	return conditionOther
}

// sqliteCondition sorts result codes (sqlite.org/rescode.html); the low byte is the primary one.
func sqliteCondition(code int) condition {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return conditionRetry
	case sqlite3.SQLITE_FULL:
		return conditionNoSpace
	case sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
		return conditionLost
	case sqlite3.SQLITE_CONSTRAINT:
		if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY {
			return conditionForeign
		}
	}
	return conditionOther
}

// fail wraps an error of the database with what was attempted, and gives it
// the registry's code when it means that trying later may help. It returns
// errors that have a code already, and nil, as they are.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	var coded *registry.Error
	if errors.As(err, &coded) {
		return err
	}
	err = &failure{what, err}
	switch conditionOf(err) {
	case conditionLost, conditionRetry:
		return registry.Wrap(err, registry.CodeUnavailable, "the database is not available; try again")
	case conditionNoSpace:
		return registry.Wrap(err, registry.CodeNoSpace, "the database's disk is full")
	}
	return err
}

type failure struct {
	what string
	err  error
}

func (f *failure) Error() string { return f.what + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
