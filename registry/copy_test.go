package registry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// fullAfter takes n bytes and then fails, like a full disk.
type fullAfter struct {
	bytes.Buffer
	n int
}

var errFull = errors.New("full")

func (w *fullAfter) Write(p []byte) (int, error) {
	if room := w.n - w.Len(); len(p) > room {
		w.Buffer.Write(p[:room])
		return room, errFull
	}
	return w.Buffer.Write(p)
}

func TestCopyHashing(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 150_000)
	broken := errors.New("broken")
	for _, tc := range []struct {
		name string
		r    io.Reader
		room int
		want int
		err  error
	}{
		{"all", bytes.NewReader(content), len(content), len(content), nil},
		{"nothing", bytes.NewReader(nil), 0, 0, nil},
		{"small reads", iotest.HalfReader(bytes.NewReader(content)), len(content), len(content), nil},
		{"reader breaks", io.MultiReader(bytes.NewReader(content[:700_001]), iotest.ErrReader(broken)), len(content), 700_001, broken},
		{"reader is cut", io.MultiReader(bytes.NewReader(content[:5]), iotest.ErrReader(io.ErrUnexpectedEOF)), len(content), 5, io.ErrUnexpectedEOF},
		{"writer is full", bytes.NewReader(content), 300_003, 300_003, errFull},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, h := &fullAfter{n: tc.room}, sha256.New()
			err := copyHashing(w, h, bodyReader{tc.r})
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			want := sha256.Sum256(content[:tc.want])
			if w.Len() != tc.want || !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("%d bytes written, want %d; the hash agrees: %v", w.Len(), tc.want, bytes.Equal(h.Sum(nil), want[:]))
			}
		})
	}
}
