package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// width is a size of vector registers and what kernels for it are called: name where there are others for the same format, suffix
// where the narrow ones are for every processor.
type width struct {
	name, suffix string
	lanes        int
	vec          func() reg.VecVirtual
}

var (
	ymm = width{"AVX2", "", 8, YMM}
	zmm = width{"AVX512", "AVX512", 16, ZMM}
)

// bytes is the size of a register.
func (w width) bytes() uint64 { return uint64(4 * w.lanes) }

// zero returns a register of zeros.
func (w width) zero() reg.VecVirtual {
	v := w.vec()
	if w.lanes == 16 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
	return v
}

// fill sets all bits of v.
func (w width) fill(v reg.VecVirtual) {
	if w.lanes == 16 {
		VPTERNLOGD(U8(0xff), v, v, v)
	} else {
		VPCMPEQD(v, v, v)
	}
}

// choose sets the lanes of to whose signs in by are not set to those of other.
func (w width) choose(by, to, other reg.VecVirtual) {
	if w.lanes == 16 {
		negative := K()
		VPMOVD2M(by, negative)
		VBLENDMPS(to, other, negative, to)
	} else {
		VBLENDVPS(by, to, other, to)
	}
}
