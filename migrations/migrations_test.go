package migrations

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestLoadHasEqualSteps(t *testing.T) {
	t.Parallel()
	type step struct {
		Number int
		Name   string
	}
	steps := func(engine string) []step {
		list, err := Load(engine)
		if err != nil {
			t.Fatal(err)
		}
		var s []step
		for _, m := range list {
			if len(m.SHA256) != 64 || m.SQL == "" {
				t.Errorf("%s/%04d: sum %q of %d bytes", engine, m.Number, m.SHA256, len(m.SQL))
			}
			s = append(s, step{m.Number, m.Name})
		}
		return s
	}
	postgres := steps("postgres")
	if len(postgres) == 0 {
		t.Fatal("no migrations")
	}
	if diff := cmp.Diff(postgres, steps("sqlite")); diff != "" {
		t.Errorf("postgres and sqlite differ (-postgres +sqlite):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"gap":             "e/0002_b.sql",
		"no number":       "e/first.sql",
		"short number":    "e/1_first.sql",
		"other extension": "e/0001_first.txt",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := load(fstest.MapFS{file: {Data: []byte("SELECT 1;")}}, "e"); err == nil {
				t.Errorf("load took %s", file)
			}
		})
	}
}
