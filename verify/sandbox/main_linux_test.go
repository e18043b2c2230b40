package sandbox

import (
	"crypto/rand"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Main(tasks)
	if len(canary) == 0 {
		// For the processes that tests start; this one's copy is in memory, too.
		canary = []byte("secret-" + rand.Text())
		if err := os.Setenv("CARAT_TEST_CANARY", string(canary)); err != nil {
			panic(err)
		}
	}
	helpMain()
	os.Exit(m.Run())
}
