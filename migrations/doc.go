// Package migrations holds the database schema as numbered SQL files, one
// folder for each engine, embedded in the program.
//
// Both folders have files of the same numbers that lead to the same tables,
// columns and indexes; only full-text search differs (model_text). A file
// that was ever released never changes: a new number follows it.
//
// The package knows nothing of a connection. Package storage/sqlstore
// applies the files.
package migrations
