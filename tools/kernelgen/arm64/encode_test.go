package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// TestEncodings decodes every instruction of the kernels with a disassembler that is not ours, and compares it with its text.
func TestEncodings(t *testing.T) {
	t.Parallel()
	// What the disassembler does not know, as GNU's assembler encodes it.
	others := map[string]uint32{"sdot v0.4s, v1.16b, v2.16b": 0x4e829420}
	for text, word := range others {
		if got := instructions["sdot"](vec(0).s4(), vec(1).b16(), vec(2).b16()); got != word {
			t.Errorf("%s is %08x, want %08x", text, got, word)
		}
	}
	seen := map[string]bool{}
	for _, f := range kernels().functions {
		for _, l := range f.lines {
			name, _, _ := strings.Cut(l.text, " ")
			if l.word == 0 || name == "sdot" {
				continue
			}
			seen[name] = true
			i, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, l.word))
			if err != nil {
				t.Errorf("%s: %08x (%s): %v", f.name, l.word, l.text, err)
				continue
			}
			if got := plain(arm64asm.GNUSyntax(i)); got != plain(l.text) {
				t.Errorf("%s: %08x is %s, want %s", f.name, l.word, got, plain(l.text))
			}
		}
	}
	for name := range instructions {
		if !seen[name] && name != "sdot" {
			t.Errorf("no kernel uses %s", name)
		}
	}
}

// plain is an instruction without what two writers may do differently: spaces, and numbers in hexadecimal.
func plain(text string) string {
	text = hexadecimal.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseUint(s[1:], 0, 32)
		if err != nil {
			return s
		}
		return "#" + strconv.FormatUint(n, 10)
	})
	return strings.NewReplacer(" ", "", "\t", "").Replace(text)
}

var hexadecimal = regexp.MustCompile(`#0x[0-9a-f]+`)

// TestCommitted shows that the files of the library are those that the generator writes.
func TestCommitted(t *testing.T) {
	t.Parallel()
	p := kernels()
	for name, want := range map[string][]byte{"vector_arm64.s": p.assembly(), "vector_arm64.go": p.declarations()} {
		got, err := os.ReadFile("../../../inference/kernel/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: go generate ./inference/kernel", name)
		}
	}
}

// TestRegisters shows that what is not there is refused rather than encoded.
func TestRegisters(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(f *function){
		"33 vectors": func(f *function) { f.vecs(33) },
		"17 addresses": func(f *function) {
			f.gp()
			for range 16 {
				f.gp()
			}
		},
		"a register twice":     func(f *function) { v := f.vec(); f.free(v, v) },
		"another argument":     func(f *function) { f.param("y") },
		"a float as address":   func(f *function) { f.param("s") },
		"a far offset":         func(f *function) { f.op("ldr", f.vec().q(), gp(0).at(257)) },
		"another instruction":  func(f *function) { f.op("fsqrt", vec(0).s4(), vec(0).s4()) },
		"lanes of one element": func(f *function) { f.op("add", vec(0).s(), vec(0).s(), vec(0).s()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			use(new(program).function("f", "x *float32, s float32", ""))
		})
	}
}
