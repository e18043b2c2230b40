package readtest

import (
	"errors"
	"runtime"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
)

// Hostile reads each of the damaged files, by what is wrong with them. Each has to give a *fault.Malformed, without more memory than
// twice the file and slack bytes. It measures what the whole process allocates: the test that calls it must not be parallel.
func Hostile[B ~[]byte](t *testing.T, files map[string]B, slack int, read func(b []byte) error) {
	t.Helper()
	for name, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := read(b)
		runtime.ReadMemStats(&after)
		var bad *fault.Malformed
		if !errors.As(err, &bad) {
			t.Errorf("%s: got %v, want a malformed file", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(2*len(b)+slack) {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, used, len(b))
		}
	}
}
