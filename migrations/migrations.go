package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Migration is one step of the schema.
type Migration struct {
	Number int    // 1, 2, 3 …
	Name   string // of the file, without number and extension
	SQL    string // statements, each ended by a semicolon
	SHA256 string // of the file, in hexadecimal
}

// Load returns the migrations of an engine, "postgres" or "sqlite", in their
// order. Numbers start at 1 and have no gaps.
func Load(engine string) ([]Migration, error) {
	return load(files, engine)
}

func load(fsys fs.FS, engine string) ([]Migration, error) {
	entries, err := fs.ReadDir(fsys, engine) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", engine, err)
	}
	list := make([]Migration, 0, len(entries))
	for i, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || len(number) != 4 || path.Ext(e.Name()) != ".sql" {
			return nil, fmt.Errorf("migration %s/%s is not named NNNN_name.sql", engine, e.Name())
		}
		if n != i+1 {
			return nil, fmt.Errorf("migration %s/%s has number %d where %d is due", engine, e.Name(), n, i+1)
		}
		body, err := fs.ReadFile(fsys, path.Join(engine, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		sum := sha256.Sum256(body)
		list = append(list, Migration{Number: n, Name: name, SQL: string(body), SHA256: hex.EncodeToString(sum[:])})
	}
	return list, nil
}
