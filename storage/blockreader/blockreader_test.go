package blockreader_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/carat-hub/carat/storage/blockreader"
)

func content(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p) // never fails
	return p
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 3<<20 + 7} {
		want := content(size)
		fetched := 0
		r := blockreader.New(int64(size), func(p []byte, off int64) error {
			if off < 0 || off+int64(len(p)) > int64(size) {
				t.Errorf("%d bytes at %d of %d are fetched", len(p), off, size)
			}
			fetched += copy(p, want[off:])
			return nil
		})
		got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(size)+10))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: read %d, %v", size, len(got), err)
		}
		if fetched != size {
			t.Errorf("%d bytes: %d were fetched", size, fetched)
		}
		if err := iotest.TestReader(io.NewSectionReader(r, 0, int64(size)), want); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("a negative offset is read")
		}
	}
}

// A block that is used stays while others come and go.
func TestReaderKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	fetches := map[int64]int{}
	r := blockreader.New(size, func(_ []byte, off int64) error {
		fetches[off]++
		return nil
	})
	p := make([]byte, 10)
	for off := int64(256 << 10); off < size; off += 256 << 10 {
		for _, at := range []int64{0, off} {
			if _, err := r.ReadAt(p, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fetches[0] != 1 {
		t.Errorf("the block in use was fetched %d times", fetches[0])
	}
	if _, err := r.ReadAt(p, 256<<10); err != nil || fetches[256<<10] != 2 {
		t.Errorf("an old block was fetched %d times, %v: it is kept for ever", fetches[256<<10], err)
	}
}

func TestReaderFails(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	fail := true
	r := blockreader.New(100, func([]byte, int64) error {
		if fail {
			return away
		}
		return nil
	})
	if n, err := r.ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, away) {
		t.Errorf("%d, %v", n, err)
	}
	fail = false
	if n, err := r.ReadAt(make([]byte, 10), 0); n != 10 || err != nil {
		t.Errorf("after a failure: %d, %v", n, err)
	}
}
