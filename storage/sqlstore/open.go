package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// OpenOptions say how to open a database.
type OpenOptions struct {
	// Unsafe accepts a Postgres that may lose committed transactions when it crashes.
	Unsafe bool
	// MaxConns bounds the Postgres connections and the SQLite readers. 0 means
	// 16 for Postgres and the number of processors, but at least 4, for SQLite.
	MaxConns int
}

// DB is an open database whose schema is up to date.
type DB struct {
	engine Engine
	writer *sql.DB
	reader *sql.DB // the same as writer on Postgres
	pool   *pgxpool.Pool
}

// Open opens the database at a URL and migrates it. The URL is
// postgres://… or postgresql://…, or sqlite:PATH or just PATH for an SQLite
// file, which is made when it is not there.
func Open(ctx context.Context, dsn string, opts OpenOptions) (*DB, error) {
	var (
		db  *DB
		err error
	)
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		db, err = openPostgres(ctx, dsn, opts)
	} else {
		db, err = openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"), opts)
	}
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate the %s database: %w", db.engine, err), db.Close())
	}
	return db, nil
}

// Engine tells which engine it is.
func (db *DB) Engine() Engine { return db.engine }

// Writer is the pool for changes. On SQLite it is a single connection whose
// transactions take the write lock at once: whoever holds a transaction of it
// must use nothing but that transaction until its end.
func (db *DB) Writer() *sql.DB { return db.writer }

// PgxPool is the pool under Writer on Postgres, nil on SQLite.
func (db *DB) PgxPool() *pgxpool.Pool { return db.pool }

// Ping tells whether the database answers. Errors: registry.CodeUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return fail("ping the database", db.reader.QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// Close closes all connections; those in use when they are given back.
func (db *DB) Close() error {
	err := db.writer.Close()
	if db.reader != db.writer {
		err = errors.Join(err, db.reader.Close())
	}
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}

// session is run on every new Postgres connection: a node that freezes inside
// a transaction must not keep its row locks for ever.
const session = "SET idle_in_transaction_session_timeout = '60s'"

func openPostgres(ctx context.Context, dsn string, opts OpenOptions) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err) // pgx leaves the password out
	}
	cfg.MaxConns = 16
	if opts.MaxConns > 0 {
		cfg.MaxConns = int32(min(opts.MaxConns, 10_000))
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, session)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fail("connect to Postgres", err)
	}
	w := stdlib.OpenDBFromPool(pool)
	db := &DB{engine: Postgres, writer: w, reader: w, pool: pool}
	if err := db.checkDurability(ctx); err != nil && !opts.Unsafe {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkDurability refuses a Postgres which acknowledges what it may lose.
func (db *DB) checkDurability(ctx context.Context) error {
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var v string
		if err := db.writer.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&v); err != nil {
			return fail("read the Postgres setting "+name, err)
		}
		if v == "off" {
			return fmt.Errorf("the Postgres setting %s is off, so a crash may lose what was acknowledged; turn it on, or choose unsafe operation", name)
		}
	}
	return nil
}

// sqliteDSN returns the driver's name for a file, with the pragmas that each
// connection gets. FULL makes each commit sync the log: a 201 means durable.
func sqliteDSN(path string, writer bool) string {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
	}}
	if writer {
		q.Set("_txlock", "immediate")
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

func openSQLite(ctx context.Context, path string, opts OpenOptions) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") || strings.Contains(path, "://") {
		return nil, fmt.Errorf("database %q is neither postgres://… nor the path of an SQLite file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database file: %w", err)
	}
	// The file holds password hashes and keys. SQLite gives its log the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the database file: %w", err)
	}
	writer, err := sql.Open("sqlite", sqliteDSN(path, true))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	mode, err := journalMode(ctx, writer)
	if err != nil {
		return nil, errors.Join(fail("open "+path, err), writer.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(fmt.Errorf("open %s: the file system allows only journal mode %q, and WAL is needed", path, mode), writer.Close())
	}
	reader, err := sql.Open("sqlite", sqliteDSN(path, false))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", path, err), writer.Close())
	}
	n := max(4, runtime.NumCPU())
	if opts.MaxConns > 0 {
		n = opts.MaxConns
	}
	reader.SetMaxOpenConns(n)
	reader.SetMaxIdleConns(n)
	return &DB{engine: SQLite, writer: writer, reader: reader}, nil
}

// openAttempts is how often a file is tried that another process just opens or
// closes: some 10 seconds.
const openAttempts = 60

// journalMode makes the first connection and returns the mode that the file is
// in. While another process turns the log on, or closes the file as the last
// one, SQLite answers at once that it is busy, whatever its timeout.
func journalMode(ctx context.Context, db *sql.DB) (mode string, err error) {
	for attempt := 1; ; attempt++ {
		err = db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
		if conditionOf(err) != conditionRetry || attempt == openAttempts {
			return mode, err
		}
		if err := pause(ctx, attempt); err != nil {
			return "", err
		}
	}
}
