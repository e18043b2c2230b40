package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/storage"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// Run holds a driver to the contract of storage.Store and of the optional
// interfaces that it implements. open returns an empty store; it is called
// once for every sub-test, and stores of parallel sub-tests must not disturb
// each other.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s storage.Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"Ranges", testRanges},
		{"EmptyObject", testEmptyObject},
		{"LargeObject", testLargeObject},
		{"InvisibleBeforeCommit", testInvisibleBeforeCommit},
		{"ReadFrom", testReadFrom},
		{"EndedWriterFails", testEndedWriterFails},
		{"ConcurrentWriters", testConcurrentWriters},
		{"NotExist", testNotExist},
		{"BadKeys", testBadKeys},
		{"CancelledContext", testCancelledContext},
		{"Ping", testPing},
		{"DeleteObject", testDeleteObject},
		{"DeleteUnfinished", testDeleteUnfinished},
		{"Abort", testAbort},
		{"SuspendPieces", testSuspendPieces},
		{"SuspendLargePieces", testSuspendLargePieces},
		{"SuspendNothing", testSuspendNothing},
		{"ResumeDropsLaterBytes", testResumeDropsLaterBytes},
		{"ResumeOlderState", testResumeOlderState},
		{"ResumeOlderStateAcrossParts", testResumeOlderStateAcrossParts},
		{"ResumeSameStateTwice", testResumeSameStateTwice},
		{"ResumeCommitted", testResumeCommitted},
		{"ResumeBadState", testResumeBadState},
		{"CancelKeepsBytes", testCancelKeepsBytes},
		{"Filer", testFiler},
		{"RedirectGet", testRedirectGet},
		{"RedirectHead", testRedirectHead},
		{"RedirectRefusals", testRedirectRefusals},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, open(t))
		})
	}
}

// stream returns n pseudo-random bytes that depend on seed.
func stream(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// random returns what stream delivers.
func random(t testing.TB, seed byte, n int) []byte {
	t.Helper()
	p, err := io.ReadAll(stream(seed, int64(n)))
	if err != nil {
		t.Fatalf("generate %d bytes: %v", n, err)
	}
	return p
}

// create begins an object under a new key.
func create(t testing.TB, s storage.Store) (storage.Key, storage.Writer) {
	t.Helper()
	key := storage.NewKey()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatalf("Create(%s): %v", key, err)
	}
	return key, w
}

// write appends all of p.
func write(t testing.TB, w storage.Writer, p []byte) {
	t.Helper()
	before := w.Offset()
	n, err := w.Write(p)
	if n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(p), n, err)
	}
	if got, want := w.Offset(), before+int64(len(p)); got != want {
		t.Fatalf("Offset after Write = %d, want %d", got, want)
	}
}

func commit(t testing.TB, w storage.Writer) {
	t.Helper()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func suspend(t testing.TB, w storage.Writer) storage.State {
	t.Helper()
	st, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatalf("Suspend at %d: %v", w.Offset(), err)
	}
	return st
}

// resume continues at the offset that the state must stand for.
func resume(t testing.TB, s storage.Store, key storage.Key, st storage.State, offset int64) storage.Writer {
	t.Helper()
	w, err := s.Resume(t.Context(), key, st)
	if err != nil {
		t.Fatalf("Resume(%s, %s): %v", key, st, err)
	}
	if w.Offset() != offset {
		t.Fatalf("Offset after Resume = %d, want %d", w.Offset(), offset)
	}
	return w
}

// put stores an object whole.
func put(t testing.TB, s storage.Store, p []byte) storage.Key {
	t.Helper()
	key, w := create(t, s)
	write(t, w, p)
	commit(t, w)
	return key
}

// read returns what Open delivers.
func read(t testing.TB, s storage.Store, key storage.Key, offset, length int64) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), key, offset, length)
	if err != nil {
		t.Fatalf("Open(%s, %d, %d): %v", key, offset, length, err)
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s from %d, %d bytes: %v after %d", key, offset, length, err, len(p))
	}
	if err := r.Close(); err != nil {
		t.Fatalf("close reader of %s: %v", key, err)
	}
	return p
}

// wantObject fails unless the object is exactly want.
func wantObject(t testing.TB, s storage.Store, key storage.Key, want []byte) {
	t.Helper()
	size, err := s.Stat(t.Context(), key)
	if err != nil {
		t.Fatalf("Stat(%s): %v", key, err)
	}
	if size != int64(len(want)) {
		t.Fatalf("Stat(%s) = %d, want %d", key, size, len(want))
	}
	wantBytes(t, "object", read(t, s, key, 0, -1), want)
}

// wantBytes compares without printing megabytes.
func wantBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%s: got %d bytes, want %d; they differ from byte %d on", what, len(got), len(want), at)
}

// wantErr fails unless err is target.
func wantErr(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s: error %v, want %v", what, err, target)
	}
}

// wantAbsent fails when anything can be seen under the key.
func wantAbsent(t testing.TB, s storage.Store, key storage.Key) {
	t.Helper()
	_, err := s.Stat(t.Context(), key)
	wantErr(t, "Stat", err, storage.ErrNotExist)
	r, err := s.Open(t.Context(), key, 0, -1)
	if err == nil {
		err = errors.Join(errors.New("opened"), r.Close())
	}
	wantErr(t, "Open", err, storage.ErrNotExist)
	if f, ok := s.(storage.Filer); ok {
		f, err := f.File(t.Context(), key)
		if err == nil {
			err = errors.Join(errors.New("opened"), f.Close())
		}
		wantErr(t, "File", err, storage.ErrNotExist)
	}
}

// digest returns the SHA-256 of everything that r delivers.
func digest(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// cancelled returns a context that is over.
func cancelled(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
