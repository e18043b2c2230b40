package sqlstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/migrations"
	"github.com/carat-hub/carat/registry"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", "sqlite:", "sqlite::memory:", ":memory:", "mysql://host/db", "sqlite:/no/such/folder/db", "postgres://host:notaport/db"} {
		if db, err := Open(t.Context(), dsn, OpenOptions{}); err == nil {
			t.Errorf("Open(%q) worked", dsn)
			_ = db.Close()
		}
	}
	secret := "postgres://user:hunter2@127.0.0.1:1/db?sslmode=bogus"
	if _, err := Open(t.Context(), secret, OpenOptions{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestOpenAgainKeepsContent(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := newURL(t, e)
			// Nodes that start at the same time migrate in turns.
			for _, err := range together(3, func(int) error {
				db, err := Open(context.WithoutCancel(t.Context()), url, OpenOptions{Unsafe: true})
				if err != nil {
					return err
				}
				return db.Close()
			}) {
				check(t, err)
			}
			first := New(openDB(t, url), Options{})
			_, err := first.CreateRepository(t.Context(), registry.Repository{Name: "org/a", Visibility: auth.Public})
			check(t, err)
			second := New(openDB(t, url), Options{})
			_, err = second.Repository(t.Context(), "org/a")
			check(t, err)
			check(t, second.db.Ping(t.Context()))
			if pool := second.db.PgxPool(); (pool == nil) != (e == SQLite) || second.db.Engine() != e {
				t.Errorf("engine %s has pool %v", second.db.Engine(), pool)
			}
		})
	}
}

func TestSQLiteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carat.db")
	db := openDB(t, path)
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(file), info.Mode())
		}
	}
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		var writer, reader string
		check(t, db.writer.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&writer))
		check(t, db.reader.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&reader))
		if writer != want || reader != want {
			t.Errorf("%s is %s for the writer and %s for readers, want %s", name, writer, reader, want)
		}
	}
	if _, err := db.reader.ExecContext(t.Context(), "DELETE FROM users"); err == nil {
		t.Error("a reader can write")
	}
}

func TestUnsafePostgresIsRefused(t *testing.T) {
	t.Parallel()
	url := newURL(t, Postgres)
	db := openDB(t, url)
	var name string
	check(t, db.writer.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
	// Settings of a database reach its new connections; fsync is the whole server's.
	_, err := db.writer.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET synchronous_commit = off")
	check(t, err)
	if err := openDB(t, url).checkDurability(t.Context()); err == nil {
		t.Error("checkDurability took a server that may lose commits")
	}
	if again, err := Open(t.Context(), url, OpenOptions{}); err == nil {
		t.Error("Open took a server that may lose commits")
		_ = again.Close()
	}
}

func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			db := openDB(t, newURL(t, e))
			steps, err := migrations.Load(string(e))
			check(t, err)
			next := migrations.Migration{Number: len(steps) + 1, Name: "next", SQL: "CREATE TABLE a (x BIGINT); CREATE TABLE b (x BIGINT);", SHA256: "00"}
			broken := next
			broken.SQL = "CREATE TABLE a (x BIGINT); CREATE TABLE a (x BIGINT);"
			if err := migrateTo(ctx, db, append(steps, broken)); err == nil || !strings.Contains(err.Error(), "_next") {
				t.Errorf("broken migration: %v", err)
			}
			check(t, migrateTo(ctx, db, append(steps, next))) // nothing of the broken one is left
			check(t, migrateTo(ctx, db, append(steps, next)))
			for range 2 {
				if err := migrate(ctx, db); err == nil || !strings.Contains(err.Error(), "newer than this program") {
					t.Errorf("newer database: %v", err)
				}
			}
			changed := next
			changed.SHA256 = "01"
			if err := migrateTo(ctx, db, append(steps, changed)); err == nil || !strings.Contains(err.Error(), "other content") {
				t.Errorf("changed migration: %v", err)
			}
			_, err = db.writer.ExecContext(ctx, "DELETE FROM schema_migrations WHERE number = 1")
			check(t, err)
			if err := migrateTo(ctx, db, append(steps, next)); err == nil || !strings.Contains(err.Error(), "but not") {
				t.Errorf("missing migration: %v", err)
			}
		})
	}
}

// TestSchemaParity compares what the migrations of both engines lead to:
// tables, columns with their nullability, and indexes with their columns.
// Only full-text search differs.
func TestSchemaParity(t *testing.T) {
	t.Parallel()
	read := func(e Engine, columns, indexes string) []string {
		db := openDB(t, newURL(t, e))
		var all []string
		for _, query := range []string{columns, indexes} {
			lines, err := list(t.Context(), db.reader, scanOne[string], query)
			check(t, err)
			if len(lines) < 15 {
				t.Fatalf("%s has only %d lines: %v", e, len(lines), lines)
			}
			slices.Sort(lines)
			all = append(all, lines...)
		}
		return all
	}
	sqlite := read(SQLite, `
		SELECT t.name || '.' || c.name || CASE WHEN c."notnull" = 1 THEN ' NOT NULL' ELSE '' END || CASE WHEN c.pk > 0 THEN ' KEY ' || c.pk ELSE '' END AS line
		FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name NOT LIKE 'model\_text%' ESCAPE '\'`, `
		SELECT x.tbl_name || ' ' || x.name || CASE WHEN l."unique" = 1 THEN ' UNIQUE' ELSE '' END || CASE WHEN l.partial = 1 THEN ' PARTIAL' ELSE '' END
			|| ' ' || (SELECT group_concat(i.name) FROM (SELECT name FROM pragma_index_info(x.name) ORDER BY seqno) i) AS line
		FROM sqlite_schema x, pragma_index_list(x.tbl_name) l
		WHERE x.type = 'index' AND l.name = x.name AND x.name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	postgres := read(Postgres, `
		SELECT c.relname || '.' || a.attname || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
			|| COALESCE(' KEY ' || array_position(k.conkey, a.attnum), '') AS line
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid
		LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)
		WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND c.relname <> 'model_text'`, `
		SELECT c.relname || ' ' || x.relname || CASE WHEN i.indisunique THEN ' UNIQUE' ELSE '' END || CASE WHEN i.indpred IS NOT NULL THEN ' PARTIAL' ELSE '' END
			|| ' ' || (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = x.oid) AS line
		FROM pg_index i
		JOIN pg_class x ON x.oid = i.indexrelid
		JOIN pg_class c ON c.oid = i.indrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND NOT i.indisprimary AND c.relname <> 'model_text'`)
	if d := diff(postgres, sqlite); d != "" {
		t.Errorf("schemas differ (-postgres +sqlite):\n%s", d)
	}
}

func BenchmarkManifestByTag(b *testing.B) {
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			s := setup(b, e)
			const repositories, tags = 20, 50
			for i := range repositories {
				n := registry.Name(fmt.Sprint("org/model-", i))
				s.repo(b, n, auth.Public)
				for j := range tags {
					w := manifest(n, fmt.Sprintf("{%2000d,%d}", i, j), registry.Tag(fmt.Sprint("v", j)))
					check(b, s.PutManifest(b.Context(), w))
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					n := registry.Name(fmt.Sprint("org/model-", i%repositories))
					if _, err := s.Manifest(b.Context(), n, registry.Reference{Tag: registry.Tag(fmt.Sprint("v", i%tags))}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
