package need

import (
	"os"
	"testing"
)

// Missing ends the test because the program called what is not there; install is the command that brings it.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed; install it with: %s", what, install)
	}
	t.Skipf("%s is not installed; install it with: %s", what, install)
}
