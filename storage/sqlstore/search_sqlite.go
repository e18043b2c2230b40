package sqlstore

import (
	"context"
	"database/sql"
	"strings"
)

// sqliteSearch keeps an FTS5 row for each model under its repository's id.
type sqliteSearch struct{}

func (f sqliteSearch) put(ctx context.Context, tx *sql.Tx, repository int64, words []string) error {
	if err := f.remove(ctx, tx, repository); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO model_text (rowid, document) VALUES ($1, $2)", repository, strings.Join(words, " "))
	return err
}

func (sqliteSearch) remove(ctx context.Context, tx *sql.Tx, repository int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM model_text WHERE rowid = $1", repository)
	return err
}

func (sqliteSearch) term() string {
	return "m.repository_id IN (SELECT x.rowid FROM model_text x WHERE x.model_text MATCH ?)"
}

func (sqliteSearch) match(words []string) string {
	return `"` + strings.Join(words, `" "`) + `" *`
}
