package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/carat-hub/carat/storage"
)

func testDeleteUnfinished(t *testing.T, s storage.Store) {
	for _, size := range []int{10, 17 * mib} {
		key, w := create(t, s)
		write(t, w, random(t, 5, size))
		st := suspend(t, w)
		for range 2 {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatalf("Delete: %v", err)
			}
		}
		wantAbsent(t, s, key)
		wantGone(t, s, key, st)
	}
}

// wantGone fails when an upload can be resumed.
func wantGone(t *testing.T, s storage.Store, key storage.Key, st storage.State) {
	t.Helper()
	w, err := s.Resume(t.Context(), key, st)
	if err == nil {
		err = errors.Join(errors.New("resumed"), w.Abort(t.Context()))
	}
	wantErr(t, "Resume", err, storage.ErrNotExist)
}

func testAbort(t *testing.T, s storage.Store) {
	for _, size := range []int{0, 10, 17 * mib} {
		key, w := create(t, s)
		write(t, w, random(t, 6, size))
		// A request that was cut off aborts with the context that was cut off.
		if err := w.Abort(cancelled(t)); err != nil {
			t.Fatalf("Abort after %d bytes: %v", size, err)
		}
		wantAbsent(t, s, key)
	}
	for _, size := range []int{10, 17 * mib} {
		key, w := create(t, s)
		write(t, w, random(t, 6, size))
		st := suspend(t, w)
		w = resume(t, s, key, st, int64(size))
		write(t, w, []byte("more"))
		if err := w.Abort(t.Context()); err != nil {
			t.Fatalf("Abort after Resume: %v", err)
		}
		wantAbsent(t, s, key)
		wantGone(t, s, key, st)
	}
}

// pieces writes an object with a Suspend and Resume between any two pieces.
func pieces(t *testing.T, s storage.Store, sizes []int) {
	t.Helper()
	total := 0
	for _, n := range sizes {
		total += n
	}
	want := random(t, 7, total)
	key, w := create(t, s)
	at := 0
	for i, n := range sizes {
		if i > 0 {
			st := suspend(t, w)
			w = resume(t, s, key, st, int64(at))
		}
		write(t, w, want[at:at+n])
		at += n
	}
	commit(t, w)
	wantObject(t, s, key, want)
}

func testSuspendPieces(t *testing.T, s storage.Store) {
	pieces(t, s, []int{1, 1, 1, 1 * kib, 0, 4095, 1, 64 * kib, 0, 3})
}

func testSuspendLargePieces(t *testing.T, s storage.Store) {
	pieces(t, s, []int{5*mib + 1, 5*mib + 1, 1, 8 * mib, 3*mib - 2, 1, 20 * mib, 0})
}

func testSuspendNothing(t *testing.T, s storage.Store) {
	key, w := create(t, s)
	st := suspend(t, w)
	w = resume(t, s, key, st, 0)
	st = suspend(t, w)
	wantAbsent(t, s, key)
	w = resume(t, s, key, st, 0)
	commit(t, w)
	wantObject(t, s, key, nil)
}

// testResumeDropsLaterBytes loses the process that wrote on after Suspend.
func testResumeDropsLaterBytes(t *testing.T, s storage.Store) {
	for _, size := range []int{1000, 9 * mib} {
		key, w := create(t, s)
		first := random(t, 8, size)
		write(t, w, first)
		st := suspend(t, w)

		w = resume(t, s, key, st, int64(size))
		write(t, w, random(t, 9, 18*mib))
		suspend(t, w)

		w = resume(t, s, key, st, int64(size))
		second := random(t, 10, 333)
		write(t, w, second)
		commit(t, w)
		wantObject(t, s, key, slices.Concat(first, second))
	}
}

// testResumeOlderState is a caller who could not save the newer state.
func testResumeOlderState(t *testing.T, s storage.Store) {
	want := random(t, 11, 3000)
	key, w := create(t, s)
	write(t, w, want[:1000])
	older := suspend(t, w)
	for range 2 {
		w = resume(t, s, key, older, 1000)
		write(t, w, random(t, 12, 500))
		suspend(t, w)
	}
	w = resume(t, s, key, older, 1000)
	write(t, w, want[1000:2000])
	newer := suspend(t, w)
	w = resume(t, s, key, newer, 2000)
	write(t, w, want[2000:])
	commit(t, w)
	wantObject(t, s, key, want)
}

// testResumeOlderStateAcrossParts has parts in the newer state that the
// older one does not know, and the same offset with other bytes.
func testResumeOlderStateAcrossParts(t *testing.T, s storage.Store) {
	want := random(t, 13, 30*mib)
	key, w := create(t, s)
	write(t, w, want[:11*mib])
	older := suspend(t, w)

	w = resume(t, s, key, older, 11*mib)
	write(t, w, random(t, 14, 10*mib))
	suspend(t, w)

	w = resume(t, s, key, older, 11*mib)
	write(t, w, want[11*mib:21*mib])
	newer := suspend(t, w)

	w = resume(t, s, key, newer, 21*mib)
	write(t, w, want[21*mib:])
	commit(t, w)
	wantObject(t, s, key, want)
}

func testResumeSameStateTwice(t *testing.T, s storage.Store) {
	want := random(t, 15, 50_000)
	key, w := create(t, s)
	write(t, w, want[:30_000])
	st := suspend(t, w)
	w = resume(t, s, key, st, 30_000)
	again := suspend(t, w)
	for _, st := range []storage.State{st, again} {
		w = resume(t, s, key, st, 30_000)
		suspend(t, w)
	}
	w = resume(t, s, key, st, 30_000)
	write(t, w, want[30_000:])
	commit(t, w)
	wantObject(t, s, key, want)
}

// testResumeCommitted is a caller who did not hear that the commit took place.
func testResumeCommitted(t *testing.T, s storage.Store) {
	for _, size := range []int{1000, 17 * mib} {
		want := random(t, 16, size)
		key, w := create(t, s)
		write(t, w, want)
		st := suspend(t, w)
		w = resume(t, s, key, st, int64(size))
		commit(t, w)
		wantGone(t, s, key, st)
		wantObject(t, s, key, want)
	}
}

func testResumeBadState(t *testing.T, s storage.Store) {
	key, w := create(t, s)
	write(t, w, random(t, 17, 100))
	good := suspend(t, w)
	for _, bad := range []string{
		"",
		"null and void",
		"[]",
		`"state"`,
		`{"offset":-1}`,
		`{"offset":1e300}`,
		`{"offset":100} {"offset":100}`,
		`{"offset":101}`,
		string(good[:len(good)-1]),
	} {
		w, err := s.Resume(t.Context(), key, storage.State(bad))
		if err == nil {
			err = errors.Join(fmt.Errorf("resumed at %d", w.Offset()), w.Abort(t.Context()))
		}
		wantErr(t, "Resume from "+bad, err, storage.ErrState)
	}
	w = resume(t, s, key, good, 100)
	commit(t, w)
	wantObject(t, s, key, random(t, 17, 100))
}

// testCancelKeepsBytes cuts the client off and goes on later.
func testCancelKeepsBytes(t *testing.T, s storage.Store) {
	for _, size := range []int{1000, 19 * mib} {
		want := random(t, 18, 2*size)
		key := storage.NewKey()
		ctx, cancel := context.WithCancel(t.Context())
		w, err := s.Create(ctx, key)
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		write(t, w, want[:size])
		cancel()
		n, err := w.Write(want[size:])
		wantErr(t, "Write after the client left", err, context.Canceled)
		at := size + n
		if w.Offset() != int64(at) {
			t.Fatalf("Offset = %d, want %d", w.Offset(), at)
		}
		st := suspend(t, w)
		w = resume(t, s, key, st, int64(at))
		write(t, w, want[at:])
		commit(t, w)
		wantObject(t, s, key, want)
	}
}
