package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"testing"
)

// bld is a pickle that is put together opcode by opcode, so that each can lie.
type bld []byte

func (b bld) op(codes string) bld { return append(b, codes...) }
func (b bld) text(s string) bld   { return append(append(b, 0x8c, byte(len(s))), s...) }
func (b bld) num(n int) bld       { return binary.LittleEndian.AppendUint32(append(b, 'J'), uint32(n)) }

func (b bld) global(module, name string) bld {
	return b.op("c" + module + "\n" + name + "\n")
}

func (b bld) nums(list ...int) bld {
	b = b.op("(")
	for _, n := range list {
		b = b.num(n)
	}
	return b.op("t")
}

// tensor pushes a tensor of a storage of floats.
func (b bld) tensor(key string, count, begin int, shape, stride []int) bld {
	return b.global("torch._utils", "_rebuild_tensor_v2").op("((").text("storage").global("torch", "FloatStorage").text(key).text("cpu").
		num(count).op("tQ").num(begin).nums(shape...).nums(stride...).op("\x89}tR")
}

// state is a pickle of a dictionary with one tensor.
func state(key string, count, begin int, shape, stride []int) bld {
	return bld("\x80\x02}").text("w").tensor(key, count, begin, shape, stride).op("s.")
}

// zipped puts members into an archive, stored as they are.
func zipped(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i+1 < len(members); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: members[i], Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// framed puts opcodes into a frame.
func framed(b bld) bld {
	return append(binary.LittleEndian.AppendUint64(bld("\x80\x04\x95"), uint64(len(b))), b...)
}
