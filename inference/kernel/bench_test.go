package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// BenchmarkRun measures what it costs to hand a task to the threads.
func BenchmarkRun(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			pool := NewPool(threads)
			defer pool.Close()
			task := taskFunc(func(int, int, int) error { return nil })
			for b.Loop() {
				if err := pool.Run(task, 8); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const cols = 1024

// benchmarkRows are weights of a type: as many rows as fit the size.
func benchmarkRows(b *testing.B, t tensor.Type, size int) (w []byte, rows int) {
	rowBytes, _ := t.Size(cols)
	rows = size / int(rowBytes)
	w = make([]byte, rows*int(rowBytes))
	one := benchmarkWeights(b, t, cols)
	for i := range rows {
		copy(w[i*len(one):], one)
	}
	return w, rows
}

// benchmarkTypes are the types whose kernels differ.
func benchmarkTypes() []tensor.Type {
	types := []tensor.Type{tensor.F32, tensor.F16, tensor.BF16}
	for t := tensor.Invalid; t < math.MaxUint8; t++ {
		if integer(t) {
			types = append(types, t)
		}
	}
	return types
}

func benchmarkWeights(b *testing.B, t tensor.Type, n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	if t.Quantized() {
		raw, _ := randomBlocks(b, r, t, n)
		return raw
	}
	return encode(b, t, random(r, n))
}

// BenchmarkDot measures products with a single vector in bytes of weights per second, in the first-level cache and in memory,
// beside the plain engine and, as "read", plain Go that only adds up the same bytes.
func BenchmarkDot(b *testing.B) {
	for _, place := range []struct {
		name string
		size int
	}{{"cache", 24 << 10}, {"memory", 384 << 20}} {
		for _, t := range benchmarkTypes() {
			w, rows := benchmarkRows(b, t, place.size)
			x := random(rand.New(rand.NewPCG(1, 2)), cols)
			integers := newActivations(len(x))
			plain{}.quantize(x, integers)
			out := make([]float32, rows)
			for _, e := range engines() {
				b.Run(place.name+"/"+t.String()+"/"+e.name(), func(b *testing.B) {
					var s scratch
					b.SetBytes(int64(len(w)))
					for b.Loop() {
						if integer(t) {
							e.integerDots(t, w, integers, out, &s)
						} else {
							e.dots(t, w, x, out, &s)
						}
					}
				})
			}
			b.Run(place.name+"/"+t.String()+"/read", func(b *testing.B) {
				b.SetBytes(int64(len(w)))
				var sum uint64
				for b.Loop() {
					sum += addUp(w)
				}
				if sum == 1 {
					b.Log(sum)
				}
			})
		}
	}
}

func addUp(w []byte) uint64 {
	var s0, s1, s2, s3 uint64
	for ; len(w) >= 32; w = w[32:] {
		s0 += binary.LittleEndian.Uint64(w)
		s1 += binary.LittleEndian.Uint64(w[8:])
		s2 += binary.LittleEndian.Uint64(w[16:])
		s3 += binary.LittleEndian.Uint64(w[24:])
	}
	return s0 + s1 + s2 + s3
}

// BenchmarkProducts measures products of a matrix with 128 vectors, in multiplications with addition per second on one thread.
func BenchmarkProducts(b *testing.B) {
	const rows, n = 256, 128
	r := rand.New(rand.NewPCG(1, 2))
	x, out := random(r, n*cols), make([]float32, n*rows)
	for _, t := range benchmarkTypes() {
		w := benchmarkWeights(b, t, rows*cols)
		for _, e := range engines() {
			b.Run(t.String()+"/"+e.name(), func(b *testing.B) {
				var s scratch
				for b.Loop() {
					if err := e.products(t, w, rows, x, n, out, &s); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)*rows*cols*n/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

// BenchmarkDecode measures turning blocks into float32, as prompts need it, in bytes of weights per second.
func BenchmarkDecode(b *testing.B) {
	for _, t := range benchmarkTypes() {
		w := benchmarkWeights(b, t, cols)
		x := make([]float32, cols)
		for _, e := range engines() {
			b.Run(t.String()+"/"+e.name(), func(b *testing.B) {
				b.SetBytes(int64(len(w)))
				for b.Loop() {
					if err := e.decode(t, x, w); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
