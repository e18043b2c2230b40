package window

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

type counted struct {
	r     io.ReaderAt
	reads []int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	c.reads = append(c.reads, len(b))
	return c.r.ReadAt(b, off)
}

func TestWindowReads(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	w := New(bytes.NewReader(data), int64(len(data)), 64, 256)
	for range 2000 {
		pos := r.IntN(len(data))
		n := r.IntN(min(64, len(data)-pos) + 1)
		b, err := w.At(int64(pos), n)
		if err != nil || !bytes.Equal(b, data[pos:pos+n]) {
			t.Fatalf("%d bytes at %d: %v, %v", n, pos, b, err)
		}
	}
}

// TestWindowGrows shows that going on takes ever larger reads, that a jump takes a small one, and that nothing beyond the end is read.
func TestWindowGrows(t *testing.T) {
	t.Parallel()
	c := &counted{r: bytes.NewReader(make([]byte, 4096))}
	w := New(c, 1000, 64, 256)
	for _, pos := range []int64{0, 60, 64, 180, 430, 900, 990} {
		if _, err := w.At(pos, 10); err != nil {
			t.Fatal(err)
		}
	}
	want := []int{64, 128, 256, 256, 64, 10}
	if !slices.Equal(c.reads, want) {
		t.Errorf("reads of %v bytes, want %v", c.reads, want)
	}
}

func TestWindowErrors(t *testing.T) {
	t.Parallel()
	if _, err := New(bytes.NewReader(make([]byte, 10)), 20, 64, 64).At(5, 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that is shorter than it was said to be: %v", err)
	}
	broken := errors.New("broken")
	if _, err := New(failing{broken}, 20, 64, 64).At(5, 8); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
