package sqlstore

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// TestDiskFull fills a small file system: writing then fails with CodeNoSpace,
// what was acknowledged can be read, and writing goes on when there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	b := bundle{clock: &clock{t: start}, outbox: &outbox{}}
	b.Store = New(openDB(t, filepath.Join(dir, "db")), Options{Clock: b.clock.now, Outbox: b.outbox})
	ctx := t.Context()
	b.repo(t, "org/a", auth.Public)
	ballast := filepath.Join(dir, "ballast")
	check(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	body := string(make([]byte, 64<<10))
	put := func(i int) error { return b.PutManifest(ctx, manifest("org/a", body+fmt.Sprint(i), "latest")) }
	stored := 0
	var err error
	for stored < 200 {
		if err = put(stored); err != nil {
			break
		}
		stored++
	}
	wantCode(t, err, registry.CodeNoSpace)
	for i := range stored {
		_, err := b.Manifest(ctx, "org/a", registry.Reference{Digest: digest("%s", body+fmt.Sprint(i))})
		check(t, err)
	}
	check(t, os.Remove(ballast))
	check(t, put(stored))
}
