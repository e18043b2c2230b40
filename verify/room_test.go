package verify

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(10 * overhead)
		order := make(chan string, 3)
		begin := func(name string, size int64) (leave chan struct{}) {
			leave = make(chan struct{})
			go func() {
				done, err := r.enter(t.Context(), size)
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				<-leave
				done()
			}()
			synctest.Wait()
			return leave
		}
		running := func(want ...string) {
			t.Helper()
			synctest.Wait()
			for _, w := range want {
				select {
				case got := <-order:
					if got != w {
						t.Errorf("%s runs, not %s", got, w)
					}
				default:
					t.Errorf("%s does not run", w)
				}
			}
			if len(order) != 0 {
				t.Errorf("%s runs too", <-order)
			}
		}
		first := begin("first", 4*overhead)
		running("first")
		larger := begin("larger than all", math.MaxInt64)
		small := begin("small", 1)
		running() // the small one would fit, but the large one was there before
		close(first)
		running("larger than all")
		close(larger)
		running("small")
		close(small)
		synctest.Wait()

		all, err := r.enter(t.Context(), 9*overhead)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errEnded)
		if _, err := r.enter(ctx, 1); !errors.Is(err, errEnded) || !errors.Is(err, ErrNoRoom) {
			t.Errorf("error %v, want the cause", err)
		}
		all()
	})
	free, err := newRoom(0).enter(t.Context(), math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	free()
}
