package content_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// The pickles of these tests are written opcode by opcode; nothing executes them.

// call is a pickle of protocol 0 that calls a name with one text.
func call(module, name, arg string) []byte {
	return fmt.Appendf(nil, "c%s\n%s\n(S'%s'\ntR.", module, name, arg)
}

// proto puts the mark of a protocol before opcodes.
func proto(n byte, ops ...string) []byte {
	return append([]byte{0x80, n}, strings.Join(ops, "")...)
}

func short(s string) string { return string([]byte{0x8c, byte(len(s))}) + s }

// stackCall calls a name that is put on the stack, as protocol 4 does.
func stackCall(module, name string) []byte {
	return proto(4, short(module), short(name), "\x93", short("x"), "\x85R.")
}

// frame puts a frame around opcodes.
func frame(ops string) string {
	return "\x95" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(ops)))) + ops
}

// plain is what a pickle of a dictionary of numbers is.
func plain() []byte { return proto(2, "}(X\x01\x00\x00\x00aK\x01u.") }

type member struct {
	name string
	p    []byte
}

func zipOf(t testing.TB, method uint16, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err == nil {
			_, err = f.Write(m.p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rawZip is an archive of one stored member whose headers a test may change: local comes before the data, central is the
// directory's entry.
func rawZip(name string, p []byte, change func(local, central []byte)) []byte {
	sum := crc32.ChecksumIEEE(p)
	local := append([]byte("PK\x03\x04"), make([]byte, 26)...)
	binary.LittleEndian.PutUint32(local[14:], sum)
	binary.LittleEndian.PutUint32(local[18:], uint32(len(p)))
	binary.LittleEndian.PutUint32(local[22:], uint32(len(p)))
	binary.LittleEndian.PutUint16(local[26:], uint16(len(name)))
	local = append(local, name...)
	central := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	binary.LittleEndian.PutUint32(central[16:], sum)
	binary.LittleEndian.PutUint32(central[20:], uint32(len(p)))
	binary.LittleEndian.PutUint32(central[24:], uint32(len(p)))
	binary.LittleEndian.PutUint16(central[28:], uint16(len(name)))
	central = append(central, name...)
	if change != nil {
		change(local, central)
	}
	out := append(local, p...)
	at := len(out)
	out = append(out, central...)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	binary.LittleEndian.PutUint16(end[8:], 1)
	binary.LittleEndian.PutUint16(end[10:], 1)
	binary.LittleEndian.PutUint32(end[12:], uint32(len(central)))
	binary.LittleEndian.PutUint32(end[16:], uint32(at))
	return append(out, end...)
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o600, Size: int64(len(m.p)), Typeflag: tar.TypeReg}
		if m.p == nil {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zlibOf(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// array is a numpy array with a description and what follows it.
func array(descr string, p []byte) []byte {
	header := fmt.Sprintf("{'descr': %s, 'fortran_order': False, 'shape': (1,), }", descr)
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(out, header...), p...)
}

// tensors is a safetensors file of one tensor with the given bytes.
func tensors(p []byte) []byte {
	head := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, len(p), len(p))
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(out, head...), p...)
}
