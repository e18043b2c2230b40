//go:build unix

package kernel

import (
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/carat-hub/carat/inference/tensor"
)

// fenced returns a copy of x that ends where its memory does: what lies behind it cannot be touched.
func fenced[T int8 | byte | float32](t *testing.T, x []T) []T {
	t.Helper()
	var one T
	page, size := os.Getpagesize(), len(x)*int(unsafe.Sizeof(one))
	room := (size + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, room+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mprotect(all[room:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	if len(x) == 0 {
		return nil
	}
	out := unsafe.Slice((*T)(unsafe.Pointer(&all[room-size])), len(x))
	copy(out, x)
	return out
}

// TestKernelsStayInTheirMemory gives every kernel arguments that end where their memory does.
func TestKernelsStayInTheirMemory(t *testing.T) {
	t.Parallel()
	for _, e := range vectorEngines() {
		run := func(name string, calls func(t *testing.T, r *rand.Rand)) {
			t.Run(e.name()+"/"+name, func(t *testing.T) {
				t.Parallel()
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("%v", p)
					}
				}()
				calls(t, rand.New(rand.NewPCG(1, 10)))
			})
		}
		for typ := tensor.Invalid; typ < math.MaxUint8; typ++ {
			if !typ.Runnable() {
				continue
			}
			run(typ.String(), func(t *testing.T, r *rand.Rand) {
				elements, _ := typ.Block()
				for _, blocks := range []int{1, 2, 3, 7, 32} {
					n, rows := blocks*elements, 1+blocks%5
					raw, _ := randomBlocks(t, r, typ, rows*n)
					w := fenced(t, raw)
					var s scratch
					if integer(typ) {
						q := newActivations(n)
						e.quantize(fenced(t, random(r, n)), q)
						q = activations{fenced(t, q.q), fenced(t, q.scale), fenced(t, q.sum16), fenced(t, q.sum32)}
						e.integerDots(typ, w, q, fenced(t, make([]float32, rows)), &s)
					} else {
						e.dots(typ, w, fenced(t, random(r, n)), fenced(t, make([]float32, rows)), &s)
					}
					for _, vectors := range []int{1, 5, 8} {
						if err := e.products(typ, w, rows, fenced(t, random(r, vectors*n)), vectors, fenced(t, make([]float32, vectors*rows)), &s); err != nil {
							t.Error(err)
						}
					}
					if err := e.decode(typ, fenced(t, make([]float32, rows*n)), w); err != nil {
						t.Error(err)
					}
				}
			})
		}
		run("layers", func(t *testing.T, r *rand.Rand) {
			for n := 1; n <= 70; n++ {
				x, y, weight := fenced(t, random(r, n)), fenced(t, random(r, n)), fenced(t, random(r, n))
				e.softmax(x)
				e.swiglu(x, y)
				e.gelu(GELU, x)
				e.gelu(GELUTanh, x)
				e.standardize(y, x, weight, e.squares(x), 1)
				e.weigh(y, x, weight, 1)
				e.moments(x)
				for _, adjacent := range []bool{false, true} {
					e.rotate(fenced(t, random(r, 2*n)), 2*n, x, y, adjacent)
				}
			}
		})
		run("attention", func(t *testing.T, r *rand.Rand) {
			for dim := 1; dim <= 70; dim += 3 {
				for _, n := range []int{1, 15, 33} {
					var s scratch
					rows := fenced(t, random(r, n*dim))
					e.scores(fenced(t, random(r, dim)), rows, dim, fenced(t, make([]float32, n)), &s)
					e.mix(fenced(t, random(r, n)), rows, dim, fenced(t, make([]float32, dim)))
					for _, queries := range []int{1, 7} {
						scores := fenced(t, make([]float32, queries*n))
						e.scoresOfAll(fenced(t, random(r, queries*dim)), dim, rows, dim, n, scores, n, &s)
						out := fenced(t, make([]float32, queries*dim))
						e.mixAll(scores, n, n, rows, dim, dim, out, &s)
					}
				}
			}
		})
	}
}
