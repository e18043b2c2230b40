//go:build unix

package inference

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// spent adds up what something took: by the clock, and of the processors.
type spent struct{ wall, processor time.Duration }

func (s *spent) on(b *testing.B, do func()) {
	var from, to unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &from); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	do()
	s.wall += time.Since(began)
	if err := unix.Getrusage(unix.RUSAGE_SELF, &to); err != nil {
		b.Fatal(err)
	}
	s.processor += time.Duration(to.Utime.Nano() + to.Stime.Nano() - from.Utime.Nano() - from.Stime.Nano())
}

// BenchmarkScan measures the pass over a mapped file on all cores, in turns with reading the same mapped bytes and doing nothing with
// them. GB are of stored bytes; ratios are the time that reading takes over that of the pass, by the clock and of the processors.
func BenchmarkScan(b *testing.B) {
	const width, size, tensors = 4096, 512 << 20, 8
	for _, typ := range []tensor.Type{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q4K, tensor.Q6K} {
		b.Run(typ.String(), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			some := stored(b, typ, normal(r, 64, width, func(int, int) float64 { return 0.02 }))
			copies := size / tensors / len(some)
			var list []scanTensor
			for i := range tensors {
				data := bytes.Repeat(some, copies)
				dim(r, data, typ, width)
				list = append(list, scanTensor{fmt.Sprint("t", i), typ, []int{64 * copies, width}, data})
			}
			name := filepath.Join(b.TempDir(), "a.gguf")
			if err := os.WriteFile(name, scanFile(b, list...), 0o600); err != nil {
				b.Fatal(err)
			}
			files, err := OpenPath(name)
			if err != nil {
				b.Fatal(err)
			}
			f, err := files.Open("a.gguf")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			whole, ok := f.(Mapped)
			if !ok {
				b.Skip("the file is not mapped")
			}
			content, threads := whole.Bytes(), runtime.GOMAXPROCS(0)
			read := func() {
				var wg sync.WaitGroup
				for i := range threads {
					wg.Go(func() { kernel.Read(content[len(content)*i/threads : len(content)*(i+1)/threads]) })
				}
				wg.Wait()
			}
			read() // so that all pages are there
			var scanning, reading spent
			for b.Loop() {
				reading.on(b, read)
				scanning.on(b, func() {
					if err := ScanTensors(b.Context(), files, func(TensorScan) error { return nil }); err != nil {
						b.Fatal(err)
					}
				})
			}
			bytes := float64(b.N) * float64(len(content)) / 1e9
			b.ReportMetric(bytes/scanning.wall.Seconds(), "GB/s")
			b.ReportMetric(bytes/reading.wall.Seconds(), "read-GB/s")
			b.ReportMetric(reading.wall.Seconds()/scanning.wall.Seconds(), "ratio")
			b.ReportMetric(reading.processor.Seconds()/scanning.processor.Seconds(), "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// dim makes the rows of a matrix differ from each other, by making each smaller by a factor of its own.
func dim(r *rand.Rand, data []byte, typ tensor.Type, width int) {
	at := map[tensor.Type][]int{tensor.Q8_0: {0}, tensor.Q4K: {0, 2}, tensor.Q6K: {208}}[typ]
	if at == nil {
		data[2] ^= byte(r.Uint32())
	}
	elements, size := typ.Block()
	perRow := width / elements
	by := float32(1)
	for block := range len(data) / size {
		if block%perRow == 0 {
			by = 0.7 + 0.3*r.Float32()
		}
		for _, offset := range at {
			half := data[block*size+offset:]
			binary.LittleEndian.PutUint16(half, tensor.HalfFromFloat(by*tensor.HalfTable()[binary.LittleEndian.Uint16(half)]))
		}
	}
}
