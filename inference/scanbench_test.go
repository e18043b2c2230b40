package inference

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// BenchmarkScan measures the pass over a mapped file on all cores, in turns with reading the same bytes and doing nothing with them:
// bytes that are mapped already ("read"), and a mapping of its own each time ("map"), which is what the pass has to do. GB are of
// stored bytes; figures are medians of the turns, ratios are the speed of the pass over that of reading.
func BenchmarkScan(b *testing.B) {
	const width, size, tensors = 4096, 192 << 20, 4
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
			mapped := func() (content []byte, closed func() error) {
				f, err := files.Open("a.gguf")
				if err != nil {
					b.Fatal(err)
				}
				m, ok := f.(Mapped)
				if !ok {
					b.Skip("files are not mapped here")
				}
				return m.Bytes(), f.Close
			}
			content, closed := mapped()
			defer func() {
				if err := closed(); err != nil {
					b.Error(err)
				}
			}()
			threads := runtime.GOMAXPROCS(0)
			read := func(content []byte) {
				var wg sync.WaitGroup
				for i := range threads {
					wg.Go(func() { kernel.Read(content[len(content)*i/threads : len(content)*(i+1)/threads]) })
				}
				wg.Wait()
			}
			read(content) // so that all pages are there
			var rates [3][]float64
			for b.Loop() {
				for i, do := range []func(){
					func() { read(content) },
					func() {
						content, closed := mapped()
						read(content)
						if err := closed(); err != nil {
							b.Fatal(err)
						}
					},
					func() {
						if err := ScanTensors(b.Context(), files, func(TensorScan) error { return nil }); err != nil {
							b.Fatal(err)
						}
					},
				} {
					began := time.Now()
					do()
					rates[i] = append(rates[i], float64(len(content))/float64(time.Since(began).Nanoseconds()))
				}
			}
			var middle [3]float64
			for i, all := range rates {
				slices.Sort(all)
				middle[i] = all[len(all)/2]
			}
			b.ReportMetric(middle[2], "GB/s")
			b.ReportMetric(middle[0], "read-GB/s")
			b.ReportMetric(middle[2]/middle[0], "ratio")
			b.ReportMetric(middle[1], "map-GB/s")
			b.ReportMetric(middle[2]/middle[1], "map-ratio")
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
