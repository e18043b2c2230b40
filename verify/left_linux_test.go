package verify_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// openDescriptors counts the descriptors of this process.
func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// children lists the processes that this process has started and that are
// still there.
func children(t *testing.T) []string {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, thread := range threads {
		p, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", thread.Name()))
		if err != nil {
			continue // the thread has ended, or the kernel does not tell
		}
		all = append(all, strings.Fields(string(p))...)
	}
	return all
}
