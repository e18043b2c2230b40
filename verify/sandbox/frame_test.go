package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// anyFrame lets every kind come, up to a length.
func anyFrame(most int64) func(byte) int64 { return func(byte) int64 { return most } }

func TestFrame(t *testing.T) {
	t.Parallel()
	for _, parts := range [][][]byte{
		nil,
		{{}},
		{[]byte("one")},
		{[]byte("one"), nil, []byte("two")},
		{make([]byte, 64<<10), []byte("end")},
		{[]byte("head"), bytes.Repeat([]byte("x"), 1<<20), []byte("tail")},
	} {
		var b bytes.Buffer
		if err := writeFrame(&b, frameMessage, parts...); err != nil {
			t.Fatal(err)
		}
		if err := writeFrame(&b, frameDone); err != nil {
			t.Fatal(err)
		}
		want := append([]byte{}, bytes.Join(parts, nil)...)
		r := iotest.OneByteReader(&b)
		kind, got, err := readFrame(r, anyFrame(2<<20))
		if kind != frameMessage || err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes in %d parts came back as %q, %d bytes, %v", len(want), len(parts), kind, len(got), err)
		}
		if kind, got, err := readFrame(r, anyFrame(0)); kind != frameDone || len(got) != 0 || err != nil {
			t.Errorf("then %q, %q, %v", kind, got, err)
		}
		if _, _, err := readFrame(r, anyFrame(0)); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestFrameRefused(t *testing.T) {
	t.Parallel()
	frame := func(kind byte, size uint32, payload string) string {
		return string(binary.LittleEndian.AppendUint32([]byte{kind}, size)) + payload
	}
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"half a header", "M\x01", io.ErrUnexpectedEOF},
		{"no payload", frame('M', 3, ""), io.ErrUnexpectedEOF},
		{"half a payload", frame('M', 3, "ab"), io.ErrUnexpectedEOF},
		{"too long", frame('M', 11, "12345678901"), errTooLong},
		{"4 GiB", frame('M', 0xffffffff, ""), errTooLong},
	} {
		if _, _, err := readFrame(strings.NewReader(tc.in), anyFrame(10)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, _, err := readFrame(strings.NewReader(frame('X', 0, "")), only('M', 10)); err == nil {
		t.Error("a frame of another kind was accepted")
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	ranges := []Range{{nil, 0}, {nil, 100}, {nil, 1 << 40}}
	for _, tc := range []struct {
		name string
		in   request
		want uint32 // bytes, or 0 for refused
	}{
		{"all", request{7, 1, 0, 100}, 100},
		{"cut at the end", request{7, 1, 90, 100}, 10},
		{"large file", request{7, 2, 1<<40 - 5, rangeSize}, 5},
		{"empty file", request{7, 0, 0, 1}, 0},
		{"no such file", request{7, 3, 0, 1}, 0},
		{"no such file, highest", request{7, 1<<32 - 1, 0, 1}, 0},
		{"at the end", request{7, 1, 100, 1}, 0},
		{"before the start", request{7, 1, -1, 1}, 0},
		{"lowest", request{7, 1, -1 << 63, 1}, 0},
		{"nothing", request{7, 1, 0, 0}, 0},
		{"too much", request{7, 2, 0, rangeSize + 1}, 0},
	} {
		got, err := decodeRequest(tc.in.encode(), ranges)
		if (err == nil) != (tc.want > 0) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.in.size = tc.want; err == nil && got != tc.in {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// FuzzFrames reads what a child that was taken over may send.
func FuzzFrames(f *testing.F) {
	var b bytes.Buffer
	for _, kind := range []byte{frameLevel, frameMessage, frameRequest, frameError, frameDone, 0, 255} {
		b.Reset()
		if err := writeFrame(&b, kind, request{1, 0, 5, 10}.encode()); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte("M\xff\xff\xff\xff"))
	f.Add([]byte("M\x00\x00\x00\x00D\x00\x00\x00\x00"))
	limits := map[byte]int64{frameLevel: 100, frameMessage: 1000, frameRequest: requestSize, frameError: 50, frameDone: 0}
	ranges := []Range{{nil, 10}, {nil, 1 << 50}}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			at := len(in) - r.Len()
			kind, payload, err := readFrame(r, func(kind byte) int64 {
				if most, ok := limits[kind]; ok {
					return most
				}
				return -1
			})
			if err != nil {
				return
			}
			if most, ok := limits[kind]; !ok || int64(len(payload)) > most {
				t.Fatalf("frame %q of %d bytes was let in", kind, len(payload))
			}
			var again bytes.Buffer
			if err := writeFrame(&again, kind, payload); err != nil {
				t.Fatal(err)
			}
			if read := in[at : len(in)-r.Len()]; !bytes.Equal(read, again.Bytes()) {
				t.Fatalf("%q was read as a frame that is written %q", read, again.Bytes())
			}
			if q, err := decodeRequest(payload, ranges); kind == frameRequest && err == nil {
				if size := ranges[q.index].Size; q.size > rangeSize || q.offset < 0 || q.offset+int64(q.size) > size {
					t.Fatalf("request %+v of a file of %d bytes was let in", q, size)
				}
			}
		}
	})
}
