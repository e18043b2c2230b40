package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/carat-hub/carat/storage"
)

func testRoundTrip(t *testing.T, s storage.Store) {
	for _, size := range []int{1, 511, 64 * kib, mib + 1} {
		want := random(t, byte(size), size)
		wantObject(t, s, put(t, s, want), want)
	}
}

func testRanges(t *testing.T, s storage.Store) {
	const size = 100_000
	want := random(t, 1, size)
	key := put(t, s, want)
	for _, tc := range []struct{ offset, length int64 }{
		{0, -1},
		{0, size},
		{0, 1},
		{1, 1},
		{0, 0},
		{777, 0},
		{777, 4096},
		{777, -1},
		{size - 1, 1},
		{size - 1, -1},
		{size, -1},
		{size, 0},
	} {
		length := tc.length
		if length < 0 {
			length = size - tc.offset
		}
		got := read(t, s, key, tc.offset, tc.length)
		wantBytes(t, fmt.Sprintf("range %d+%d", tc.offset, tc.length), got, want[tc.offset:tc.offset+length])
	}
	for _, tc := range []struct{ offset, length int64 }{
		{size + 1, -1}, {size + 1, 0}, {size + 1, 5}, {1 << 40, 1}, {-1, -1},
	} {
		r, err := s.Open(t.Context(), key, tc.offset, tc.length)
		if err == nil {
			err = errors.Join(errors.New("opened"), r.Close())
		}
		wantErr(t, fmt.Sprintf("Open at %d+%d of %d", tc.offset, tc.length, size), err, storage.ErrRange)
	}
	for _, tc := range []struct{ offset, length int64 }{{0, size + 1}, {size - 10, 11}, {size, 1}, {5, 1 << 40}} {
		r, err := s.Open(t.Context(), key, tc.offset, tc.length)
		if err != nil {
			t.Fatalf("Open of a range beyond the end, %d+%d: %v", tc.offset, tc.length, err)
		}
		got, err := io.ReadAll(r)
		wantErr(t, fmt.Sprintf("reading %d+%d of %d", tc.offset, tc.length, size), err, io.ErrUnexpectedEOF)
		wantBytes(t, "what there is of the range", got, want[tc.offset:])
		if err := r.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	for _, length := range []int64{-1, 50} {
		r, err := s.Open(t.Context(), key, 10, length)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		var buf bytes.Buffer
		n, err := io.Copy(&buf, r)
		end := int64(size)
		if length >= 0 {
			end = 10 + length
		}
		if n != end-10 || err != nil {
			t.Fatalf("io.Copy of range 10+%d = %d, %v", length, n, err)
		}
		wantBytes(t, "copied range", buf.Bytes(), want[10:end])
		if err := r.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
}

func testEmptyObject(t *testing.T, s storage.Store) {
	key, w := create(t, s)
	commit(t, w)
	wantObject(t, s, key, nil)
	wantBytes(t, "no bytes of an empty object", read(t, s, key, 0, 0), nil)
	r, err := s.Open(t.Context(), key, 1, -1)
	if err == nil {
		err = errors.Join(errors.New("opened"), r.Close())
	}
	wantErr(t, "Open behind an empty object", err, storage.ErrRange)

	key, w = create(t, s)
	write(t, w, nil)
	commit(t, w)
	wantObject(t, s, key, nil)
}

// testLargeObject streams more than fits into the parts that may be under
// way at once, and never holds the object.
func testLargeObject(t *testing.T, s storage.Store) {
	const size = 40*mib + 12345
	want, err := digest(stream(2, size))
	if err != nil {
		t.Fatal(err)
	}
	key, w := create(t, s)
	buf := make([]byte, 300_001)
	for src := stream(2, size); ; {
		n, err := io.ReadFull(src, buf)
		if n > 0 {
			write(t, w, buf[:n])
		}
		if err != nil {
			break
		}
	}
	commit(t, w)
	if got, err := s.Stat(t.Context(), key); got != size || err != nil {
		t.Fatalf("Stat = %d, %v, want %d", got, err, size)
	}
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	got, err := digest(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read: %v", err)
	}
	if got != want {
		t.Fatalf("SHA-256 of what came back is %s, want %s", got, want)
	}
}

func testInvisibleBeforeCommit(t *testing.T, s storage.Store) {
	want := random(t, 3, 10_000)
	key, w := create(t, s)
	wantAbsent(t, s, key)
	write(t, w, want[:6_000])
	wantAbsent(t, s, key)
	st := suspend(t, w)
	wantAbsent(t, s, key)
	w = resume(t, s, key, st, 6_000)
	write(t, w, want[6_000:])
	wantAbsent(t, s, key)
	commit(t, w)
	wantObject(t, s, key, want)
}

// testReadFrom holds the shortcut of io.Copy to the same contract.
func testReadFrom(t *testing.T, s storage.Store) {
	const size = 9*mib + 7
	want := random(t, 4, size)
	key, w := create(t, s)
	write(t, w, want[:100])
	n, err := io.Copy(w, stripped{bytes.NewReader(want[100 : size-1])})
	if n != size-101 || err != nil {
		t.Fatalf("io.Copy = %d, %v", n, err)
	}
	if w.Offset() != size-1 {
		t.Fatalf("Offset after io.Copy = %d, want %d", w.Offset(), size-1)
	}
	broken := errors.New("the client went away")
	n, err = io.Copy(w, io.MultiReader(bytes.NewReader(want[size-1:]), failing{broken}))
	if n != 1 || !errors.Is(err, broken) {
		t.Fatalf("io.Copy from a broken client = %d, %v", n, err)
	}
	commit(t, w)
	wantObject(t, s, key, want)
}

// stripped hides every method of a reader but Read.
type stripped struct{ io.Reader }

// failing is a reader that only fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func testEndedWriterFails(t *testing.T, s storage.Store) {
	for name, end := range map[string]func(w storage.Writer) error{
		"Suspend": func(w storage.Writer) error { _, err := w.Suspend(t.Context()); return err },
		"Commit":  func(w storage.Writer) error { return w.Commit(t.Context()) },
		"Abort":   func(w storage.Writer) error { return w.Abort(t.Context()) },
	} {
		key, w := create(t, s)
		write(t, w, []byte("some bytes"))
		if err := end(w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, err := w.Write([]byte("x")); n != 0 || err == nil {
			t.Errorf("Write after %s = %d, %v", name, n, err)
		}
		if st, err := w.Suspend(t.Context()); err == nil {
			t.Errorf("Suspend after %s = %s", name, st)
		}
		if err := w.Commit(t.Context()); err == nil {
			t.Errorf("Commit after %s worked", name)
		}
		if err := w.Abort(t.Context()); err == nil {
			t.Errorf("Abort after %s worked", name)
		}
		if w.Offset() != int64(len("some bytes")) {
			t.Errorf("Offset after %s = %d", name, w.Offset())
		}
		if name == "Commit" {
			wantObject(t, s, key, []byte("some bytes"))
		}
	}
}

func testConcurrentWriters(t *testing.T, s storage.Store) {
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = writeAndCheck(t.Context(), s, byte(i), int64(i)*mib+int64(i)*333) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func writeAndCheck(ctx context.Context, s storage.Store, seed byte, size int64) error {
	key := storage.NewKey()
	w, err := s.Create(ctx, key)
	if err != nil {
		return err
	}
	if n, err := io.Copy(w, stream(seed, size)); n != size || err != nil {
		return fmt.Errorf("copy %d of %d bytes: %w", n, size, err)
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	want, err := digest(stream(seed, size))
	if err != nil {
		return err
	}
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	got, err := digest(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("object %d has SHA-256 %s, want %s", seed, got, want)
	}
	return nil
}

func testNotExist(t *testing.T, s storage.Store) {
	wantAbsent(t, s, storage.NewKey())
	key := put(t, s, []byte("another one"))
	wantAbsent(t, s, storage.NewKey())
	wantObject(t, s, key, []byte("another one"))
}

// testBadKeys asks for keys that NewKey never made; they could lead anywhere.
func testBadKeys(t *testing.T, s storage.Store) {
	put(t, s, []byte("x"))
	for _, key := range []storage.Key{
		"",
		"objects/",
		"objects/..",
		"objects/../objects",
		"/etc/passwd",
		"uploads/0199f0f0-0000-7000-8000-000000000000",
		"objects/0199F0F0-0000-7000-8000-000000000000",
		"objects/../../../0199f0f0-0000-7000-8000-000000000000",
		"objects/0199f0f0-0000-7000-8000-000000000000/x",
		"objects/0199f0f0-0000-7000-8000-0000000000%2f",
		"objects/0199f0f0-0000-7000-8000-000000000000\x00",
		"objects/{0199f0f0-0000-7000-8000-000000000000}",
	} {
		ctx := t.Context()
		if r, err := s.Open(ctx, key, 0, -1); err == nil {
			t.Errorf("Open(%q) worked, close: %v", key, r.Close())
		}
		if n, err := s.Stat(ctx, key); err == nil {
			t.Errorf("Stat(%q) = %d", key, n)
		}
		if w, err := s.Create(ctx, key); err == nil {
			t.Errorf("Create(%q) worked, abort: %v", key, w.Abort(ctx))
		}
		if w, err := s.Resume(ctx, key, storage.State(`{}`)); err == nil {
			t.Errorf("Resume(%q) worked, abort: %v", key, w.Abort(ctx))
		}
		if err := s.Delete(ctx, key); err == nil {
			t.Errorf("Delete(%q) worked", key)
		}
		if f, ok := s.(storage.Filer); ok {
			if f, err := f.File(ctx, key); err == nil {
				t.Errorf("File(%q) worked, close: %v", key, f.Close())
			}
		}
	}
}

func testCancelledContext(t *testing.T, s storage.Store) {
	key := put(t, s, []byte("here"))
	ctx := cancelled(t)
	_, err := s.Stat(ctx, key)
	wantErr(t, "Stat", err, context.Canceled)
	r, err := s.Open(ctx, key, 0, -1)
	if err == nil {
		err = errors.Join(errors.New("opened"), r.Close())
	}
	wantErr(t, "Open", err, context.Canceled)
	wantErr(t, "Delete", s.Delete(ctx, key), context.Canceled)
	wantErr(t, "Ping", s.Ping(ctx), context.Canceled)
	wantObject(t, s, key, []byte("here"))
}

func testPing(t *testing.T, s storage.Store) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
		})
	}
	wg.Wait()
}

func testDeleteObject(t *testing.T, s storage.Store) {
	key, other := put(t, s, []byte("gone")), put(t, s, []byte("stays"))
	for range 2 {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantAbsent(t, s, key)
	}
	if err := s.Delete(t.Context(), storage.NewKey()); err != nil {
		t.Fatalf("Delete of what never was: %v", err)
	}
	wantObject(t, s, other, []byte("stays"))
}
