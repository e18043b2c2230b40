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
	kinds := slices.Sorted(maps.Keys(sound))
	all := crafted(sound)
	for i := len(all); i < hostileModels; i++ {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		kind := kinds[i%len(kinds)]
		all[fmt.Sprintf("%s damaged by seed %d", kind, i)] = damaged(r, sound[kind])
	}
	descriptors, routines := openDescriptors(t), runtime.NumGoroutine()
	states := map[verify.State]int{}
	var mu sync.Mutex
	t.Run("models", func(t *testing.T) {
		for name, m := range all {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
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
				mu.Lock()
				states[r.State]++
				skip := len(name)%3 > 0 // it reads what the checks have read
				mu.Unlock()
				if skip {
					return
				}
				facts, err := box.Inspect(t.Context(), files)
				if facts == nil || err != nil && strings.Contains(err.Error(), "child died") {
					t.Errorf("inspect: %v", err)
				}
			})
		}
	})
	t.Logf("%d models: %v", len(all), states)
	if states[verify.StateFailed] < len(all)/4 || len(all) < hostileModels {
		t.Errorf("of %d models %d failed: they are not hostile enough", len(all), states[verify.StateFailed])
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
