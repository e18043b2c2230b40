package verify_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/verify"
)

// hostileModels is how many hostile models are made.
const hostileModels = 1000

// TestHostileModels verifies and inspects many models that were made to do
// harm. Each ends with a state and a reason, none by a crash, and nothing of
// their children is left.
func TestHostileModels(t *testing.T) {
	sound := soundModels(t)
	descriptors, routines := openDescriptors(t), runtime.NumGoroutine()
	var all tally
	known := crafted(sound)
	count := len(known)
	t.Run("crafted", func(t *testing.T) {
		for name, m := range known {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				all.add(endure(t, m))
			})
		}
	})
	// A model is made when its turn comes: starting a child takes the longer,
	// the more memory its parent has.
	known = nil
	kinds := slices.Sorted(maps.Keys(sound))
	t.Run("damaged", func(t *testing.T) {
		for i := count; i < hostileModels; i++ {
			kind := kinds[i%len(kinds)]
			t.Run(fmt.Sprintf("%s by seed %d", kind, i), func(t *testing.T) {
				t.Parallel()
				all.add(endure(t, damaged(rand.New(rand.NewPCG(uint64(i), 7)), sound[kind])))
			})
		}
	})
	t.Logf("%d models, of which %d failed", all.models, all.failed)
	if all.models != hostileModels || all.failed < hostileModels/4 {
		t.Errorf("of %d models %d failed: they are not hostile enough", all.models, all.failed)
	}
	if n := openDescriptors(t); n > descriptors+8 {
		t.Errorf("%d descriptors are open, %d were", n, descriptors)
	}
	if n := runtime.NumGoroutine(); n > routines+8 {
		t.Errorf("%d goroutines run, %d did", n, routines)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("children are left: %v", left)
	}
}

// tally counts how models ended.
type tally struct {
	mu             sync.Mutex
	models, failed int
}

func (c *tally) add(s verify.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.models++; s == verify.StateFailed {
		c.failed++
	}
}

// endure verifies a hostile model, and inspects every third, which reads no
// more than the checks have read.
func endure(t *testing.T, m model) verify.State {
	t.Helper()
	files := m.files(t)
	defer files.Close()
	box := verify.Sandboxed{Memory: 1 << 30}
	began := time.Now()
	r := box.Verify(t.Context(), files, verify.RunOptions{Level: verify.LevelQuick, Threads: 1, Timeout: time.Minute})
	if took := time.Since(began); took > 90*time.Second {
		t.Errorf("it took %s", took)
	}
	switch {
	case r.State == verify.StateError && !strings.Contains(r.Summary, "limit"):
		t.Errorf("%s: %s", r.State, r.Summary)
	case !r.State.Done() || r.Summary == "":
		t.Errorf("it ended as %q: %q", r.State, r.Summary)
	case r.Sandbox == nil || files.Fault() != nil:
		t.Errorf("sandbox %v, fault %v", r.Sandbox, files.Fault())
	}
	if len(t.Name())%3 > 0 {
		return r.State
	}
	facts, err := box.Inspect(t.Context(), files)
	if facts == nil || err != nil && strings.Contains(err.Error(), "child died") {
		t.Errorf("inspect: %v", err)
	}
	return r.State
}
