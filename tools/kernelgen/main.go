package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	parts := map[string]func(){"common": common, "layer": layer, "rare": rare, "scan": scan, "scanwide": scanWide}
	part := flag.String("part", "common", "which kernels to write: common, layer, rare, scan or scanwide")
	flag.Parse()
	ConstraintExpr("!purego")
	if parts[*part] == nil {
		log.Fatalf("no part is called %q", *part)
	}
	parts[*part]()
	Generate()
}

// rare are the kernels of block types that few files have. They are in a file of their own.
func rare() {
	for _, b := range append(gridBlocks(), tq1()) {
		b.dot()
		b.decode()
	}
	for _, b := range mediumBlocks() {
		b.dotMedium()
		b.decode()
	}
}

func common() {
	for _, w := range []width{ymm, zmm} {
		for _, f := range []format{f32, f16, bf16} {
			for _, rows := range []int{4, 1} {
				tile(w, f, rows)
			}
		}
		reduce(w)
	}
	for _, b := range blocks() {
		b.dot()
		b.decode()
	}
	quantize()
	decode(f16)
	decode(bf16)
	for vectors := 1; vectors <= 6; vectors++ {
		panel(vectors)
	}
	for vectors := 1; vectors <= widest; vectors++ {
		widePanel(vectors)
	}
	transpose()
	mix()
	for _, w := range []width{ymm, zmm} {
		largest(w)
		exponentials(w)
		gelu(w)
		geluTanh(w)
	}
}

// format is how weights are stored and how lanes of them are loaded as float32.
type format struct {
	name  string
	bytes int
	load  func(from Mem, to reg.VecVirtual)
}

var (
	f32  = format{"F32", 4, func(from Mem, to reg.VecVirtual) { VMOVUPS(from, to) }}
	f16  = format{"F16", 2, func(from Mem, to reg.VecVirtual) { VCVTPH2PS(from, to) }}
	bf16 = format{"BF16", 2, func(from Mem, to reg.VecVirtual) {
		VPMOVZXWD(from, to)
		VPSLLD(Imm(16), to, to)
	}}
)

func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// loop runs body while the counter, which is at least 1 at the start, is not zero.
func loop(name string, counter reg.GPVirtual, body func()) {
	Label(name)
	body()
	DECQ(counter)
	JNZ(LabelRef(name))
}

// rowAddresses returns the addresses of up to four rows that lie stride bytes apart.
func rowAddresses(base, stride reg.GPVirtual, rows int) []Mem {
	at := []Mem{{Base: base}, {Base: base, Index: stride, Scale: 1}, {Base: base, Index: stride, Scale: 2}}
	if rows == 4 {
		third := GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, third)
		at = append(at, Mem{Base: base, Index: third, Scale: 1})
	}
	return at[:rows]
}
