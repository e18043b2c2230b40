package fs_test

import (
	"testing"

	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/storagetest"
)

func open(t testing.TB) *fs.Store {
	t.Helper()
	s, err := fs.New(fs.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t) })
}
