// Package sqlstore keeps all metadata in SQL: it implements the store
// interfaces of packages registry, verify and auth on SQLite and on Postgres.
//
// Every statement is written once for both engines: parameters are $1, $2 …,
// times are microseconds in integers, JSON is text. What the engines do
// differently is in dialect.go (locks, errors) and, for full-text search, in
// search_sqlite.go and search_postgres.go. There is one file for each aggregate.
//
// The package decides nothing about who may do what and touches no blob
// bytes. Rules of the house:
//   - Every change is one transaction made by Store.write, and inside it only
//     the *sql.Tx is used: SQLite has one writer connection, so any other
//     statement would wait for itself.
//   - Changes to manifests, tags and blob links of one repository take the
//     lock of the repository's row first; blobs are locked by their own rows.
//   - A COMMIT whose answer is lost is never replayed; its effect is looked up
//     on a new connection, and without a positive answer the caller gets
//     CodeUnavailable.
package sqlstore
