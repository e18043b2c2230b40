package main

import "fmt"

// panel multiplies a panel of 16 rows, which is stored column by column, with up to six vectors: 24 sums of four rows, four columns of
// each vector and two registers of weights fill all 32.
func panel(p *program, vectors int) {
	name := fmt.Sprintf("panelx%d", vectors)
	f := p.function(name, "panel *float32, cols int, x *float32, xStride int, sums *float32",
		"adds the products of a panel {cols, 16} and vectors that lie xStride bytes apart to sums, which is {vectors, 16}. cols is not 0.")
	weights, cols, x, stride, out := f.param("panel"), f.param("cols"), f.param("x"), f.param("xStride"), f.param("sums")
	at := []gp{x}
	for i := 1; i < vectors; i++ {
		at = append(at, f.gp())
		f.goes("ADD %s, %s, %s", stride, at[i-1], at[i])
	}
	sums := f.vecs(4 * vectors)
	values := f.vecs(vectors)
	w := f.vecs(2)
	f.zero(sums...)
	// step multiplies columns of the panel with as many lanes of the values, while the next weights are loaded.
	step := func(columns int) {
		f.op("ldr", w[0].q(), weights.at(0))
		for i := range 4 * columns {
			if i+1 < 4*columns {
				f.op("ldr", w[(i+1)%2].q(), weights.at(16*(i+1)))
			}
			for v := range vectors {
				f.op("fmla", sums[4*v+i%4].s4(), w[i%2].s4(), values[v].lane(i/4))
			}
		}
		f.advance(weights, 64*columns)
	}
	f.goes("SUBS $4, %s", cols)
	f.goes("BLT rest")
	f.label("four")
	for v := range vectors {
		f.op("ldr", values[v].q(), at[v].next(16))
	}
	step(4)
	f.goes("SUBS $4, %s", cols)
	f.goes("BGE four")
	f.label("rest")
	f.goes("ADDS $4, %s", cols)
	f.goes("BEQ done")
	f.loop("one", cols, func() {
		for v := range vectors {
			f.op("ldr", values[v].s(), at[v].next(4))
		}
		step(1)
	})
	f.label("done")
	// The panel's own sums are added last: short sums round less than long ones.
	for i, s := range sums {
		f.op("ldr", w[i%2].q(), out.at(16*i))
		f.op("fadd", s.s4(), s.s4(), w[i%2].s4())
	}
	f.store(sums, out, 0)
	f.ret()
}

// transpose stores 16 rows column by column: squares of four are turned by two exchanges.
func transpose(p *program) {
	f := p.function("transpose", "src *float32, stride int, steps int, panel *float32",
		"stores eight columns per step of 16 rows, which lie stride bytes apart, as {columns, 16}. steps is not 0.")
	src, stride, steps, to := f.param("src"), f.param("stride"), f.param("steps"), f.param("panel")
	var rows []gp // every fourth
	for i := range 4 {
		rows = append(rows, f.gp())
		if i == 0 {
			f.goes("MOVD %s, %s", src, rows[0])
			continue
		}
		f.goes("ADD %s<<2, %s, %s", stride, rows[i-1], rows[i])
	}
	row := f.gp()
	f.loop("next", steps, func() {
		for square, first := range rows {
			f.goes("MOVD %s, %s", first, row)
			var left, right [4]vec
			for i := range 4 {
				both := f.load(row, 0, 2)
				left[i], right[i] = both[0], both[1]
				if i < 3 {
					f.goes("ADD %s, %s", stride, row)
				}
			}
			for half, v := range [][4]vec{left, right} {
				for i, turned := range f.turn(v) {
					f.op("str", turned.q(), to.at(64*(4*half+i)+16*square))
					f.free(turned)
				}
			}
			f.advance(first, 32)
		}
		f.advance(to, 512)
	})
	f.ret()
}

// turn returns the columns of four rows, whose registers it frees.
func (f *function) turn(row [4]vec) (column [4]vec) {
	var pairs [4]vec
	for i := range pairs {
		pairs[i] = f.vec()
		f.op([]string{"trn1", "trn2"}[i%2], pairs[i].s4(), row[i/2*2].s4(), row[i/2*2+1].s4())
	}
	f.free(row[:]...)
	for i := range column {
		column[i] = f.vec()
		f.op([]string{"trn1", "trn2"}[i/2], column[i].d2(), pairs[i%2].d2(), pairs[i%2+2].d2())
	}
	f.free(pairs[:]...)
	return column
}
