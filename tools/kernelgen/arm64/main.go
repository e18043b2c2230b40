package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "vector_arm64.s", "file for the assembly")
	stubs := flag.String("stubs", "vector_arm64.go", "file for the declarations")
	flag.Parse()
	p := kernels()
	for name, text := range map[string][]byte{*out: p.assembly(), *stubs: p.declarations()} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// kernels returns all of them.
func kernels() *program {
	p := new(program)
	for _, f := range []format{f32, f16, bf16} {
		for _, rows := range []int{4, 1} {
			tile(p, f, rows)
		}
	}
	reduce(p)
	for _, b := range append(append(blocks(), gridBlocks()...), tq1()) {
		b.dot(p, multiplyWide)
		b.dot(p, multiplyDot)
		b.decode(p)
	}
	for _, b := range mediumBlocks() {
		b.dotMedium(p, multiplyWide)
		b.dotMedium(p, multiplyDot)
		b.decode(p)
	}
	quantize(p)
	decode(p, f16)
	decode(p, bf16)
	for vectors := 1; vectors <= 6; vectors++ {
		panel(p, vectors)
	}
	transpose(p)
	mix(p)
	largest(p)
	exponentials(p)
	gelu(p)
	geluTanh(p)
	squares(p)
	deviations(p)
	standardize(p)
	weigh(p)
	rotations(p)
	return p
}
