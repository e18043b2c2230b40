package sqlstore

import (
	"context"
	"database/sql"
	"strings"
)

// postgresSearch keeps a tsvector for each model. Vectors and queries are
// made of ready lexemes: neither parser nor dictionary of Postgres has a part.
type postgresSearch struct{}

func (postgresSearch) put(ctx context.Context, tx *sql.Tx, repository int64, words []string) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO model_text (repository_id, document) VALUES ($1, array_to_tsvector(string_to_array($2, ' ')))
		ON CONFLICT (repository_id) DO UPDATE SET document = excluded.document`, repository, strings.Join(words, " "))
	return err
}

func (postgresSearch) remove(ctx context.Context, tx *sql.Tx, repository int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM model_text WHERE repository_id = $1", repository)
	return err
}

func (postgresSearch) term() string {
	return "m.repository_id IN (SELECT x.repository_id FROM model_text x WHERE x.document @@ CAST(? AS tsquery))"
}

func (postgresSearch) match(words []string) string {
	return "'" + strings.Join(words, "' & '") + "':*"
}
