package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carat-hub/carat/migrations"
)

// migrationLock is the Postgres advisory lock that migrating nodes take turns
// with: "carat" in ASCII.
const migrationLock int64 = 0x6361726174

const createMigrations = `CREATE TABLE IF NOT EXISTS schema_migrations (
    number     BIGINT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)`

// migrate applies the migrations that the database lacks. It fails when an
// applied one has changed since, and when the database is newer than the program.
func migrate(ctx context.Context, db *DB) error {
	steps, err := migrations.Load(string(db.engine))
	if err != nil {
		return err
	}
	return migrateTo(ctx, db, steps)
}

// migrateTo applies each missing step in a transaction of its own.
func migrateTo(ctx context.Context, db *DB, steps []migrations.Migration) error {
	for {
		more, err := migrateStep(ctx, db, steps)
		if err != nil || !more {
			return err
		}
	}
}

// migrateStep applies the first missing step, and reports whether there was one.
func migrateStep(ctx context.Context, db *DB, steps []migrations.Migration) (more bool, err error) {
	tx, err := db.writer.BeginTx(ctx, db.engine.txOptions())
	if err != nil {
		return false, fail("begin a migration", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the error at hand says more
		}
	}()
	if db.engine == Postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
			return false, fail("wait for other migrations", err)
		}
	}
	if _, err := tx.ExecContext(ctx, createMigrations); err != nil {
		return false, fail("create the table of migrations", err)
	}
	applied, err := checkApplied(ctx, tx, steps)
	if err != nil {
		return false, err
	}
	if applied < len(steps) {
		if err := apply(ctx, tx, db.engine, steps[applied]); err != nil {
			return false, fmt.Errorf("apply migration %04d_%s: %w", steps[applied].Number, steps[applied].Name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return false, fail("commit a migration", err)
	}
	return applied+1 < len(steps), nil
}

// checkApplied compares the applied migrations with the program's and
// returns how many there are.
func checkApplied(ctx context.Context, tx *sql.Tx, steps []migrations.Migration) (int, error) {
	type step struct {
		number       int
		name, sha256 string
	}
	applied, err := list(ctx, tx, func(r row) (s step, err error) {
		err = r.Scan(&s.number, &s.name, &s.sha256)
		return s, err
	}, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number")
	if err != nil {
		return 0, fail("read the applied migrations", err)
	}
	for i, a := range applied {
		switch {
		case i >= len(steps):
			return 0, fmt.Errorf("the database has migration %04d_%s, which is newer than this program (%d); use a newer program", a.number, a.name, len(steps))
		case a.number != steps[i].Number:
			return 0, fmt.Errorf("the database has migration %04d_%s but not %04d_%s before it", a.number, a.name, steps[i].Number, steps[i].Name)
		case a.sha256 != steps[i].SHA256:
			return 0, fmt.Errorf("migration %04d_%s was applied with other content (sha256 %s, now %s)", a.number, a.name, a.sha256, steps[i].SHA256)
		}
	}
	return len(applied), nil
}

func apply(ctx context.Context, tx *sql.Tx, e Engine, m migrations.Migration) error {
	var args []any
	if e == Postgres {
		// Only the simple protocol takes several statements at once.
		args = []any{pgx.QueryExecModeSimpleProtocol}
	}
	if _, err := tx.ExecContext(ctx, m.SQL, args...); err != nil {
		return fail("run its statements", err)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (number, name, sha256, applied_at) VALUES ($1, $2, $3, $4)",
		m.Number, m.Name, m.SHA256, micros(time.Now()))
	return fail("record it", err)
}
