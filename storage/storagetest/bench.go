package storagetest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carat-hub/carat/storage"
)

const (
	benchSize  = 64 * mib
	benchPiece = mib     // one Write
	benchSmall = 4 * kib // a manifest or a config
)

// Bench measures a driver. The metric "x-file" is the time of a plain file in
// the temporary folder, written and synced or read, divided by the time of the
// store: 1 is as fast as the file system, less is slower.
func Bench(b *testing.B, open func(b *testing.B) storage.Store) {
	b.Helper()
	b.Run("Write", func(b *testing.B) { benchWrite(b, open(b)) })
	b.Run("Read", func(b *testing.B) { benchRead(b, open(b)) })
	b.Run("Small", func(b *testing.B) { benchSmallObjects(b, open(b)) })
}

func benchWrite(b *testing.B, s storage.Store) {
	piece := random(b, 1, benchPiece)
	var plain time.Duration
	b.SetBytes(benchSize)
	for b.Loop() {
		key, w := create(b, s)
		for range benchSize / benchPiece {
			write(b, w, piece)
		}
		commit(b, w)

		b.StopTimer()
		remove(b, s, key)
		plain += plainWrite(b, piece, benchSize/benchPiece)
		b.StartTimer()
	}
	reportRatio(b, plain)
}

func benchRead(b *testing.B, s storage.Store) {
	piece := random(b, 2, benchPiece)
	key, w := create(b, s)
	for range benchSize / benchPiece {
		write(b, w, piece)
	}
	commit(b, w)
	path := filepath.Join(b.TempDir(), "plain")
	writeFile(b, path, piece, benchSize/benchPiece)
	buf := make([]byte, benchPiece)
	var plain time.Duration
	b.SetBytes(benchSize)
	for b.Loop() {
		r, err := s.Open(b.Context(), key, 0, -1)
		if err != nil {
			b.Fatalf("Open: %v", err)
		}
		drain(b, r, buf)

		b.StopTimer()
		start := time.Now()
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		drain(b, f, buf)
		plain += time.Since(start)
		b.StartTimer()
	}
	reportRatio(b, plain)
}

func benchSmallObjects(b *testing.B, s storage.Store) {
	piece := random(b, 3, benchSmall)
	var plain time.Duration
	for b.Loop() {
		key := put(b, s, piece)
		b.StopTimer()
		remove(b, s, key)
		plain += plainWrite(b, piece, 1)
		b.StartTimer()
	}
	reportRatio(b, plain)
}

func reportRatio(b *testing.B, plain time.Duration) {
	b.Helper()
	b.ReportMetric(plain.Seconds()/b.Elapsed().Seconds(), "x-file")
}

func remove(b *testing.B, s storage.Store, key storage.Key) {
	b.Helper()
	if err := s.Delete(b.Context(), key); err != nil {
		b.Fatalf("Delete: %v", err)
	}
}

// drain reads to the end by pieces, without the shortcuts of io.Copy.
func drain(b *testing.B, r io.ReadCloser, buf []byte) {
	b.Helper()
	var total int64
	for {
		n, err := r.Read(buf)
		total += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatalf("read: %v", err)
		}
	}
	if err := r.Close(); err != nil || total != benchSize {
		b.Fatalf("read %d bytes, close: %v", total, err)
	}
}

// plainWrite is what the file system alone takes.
func plainWrite(b *testing.B, piece []byte, pieces int) time.Duration {
	b.Helper()
	path := filepath.Join(b.TempDir(), "plain")
	start := time.Now()
	writeFile(b, path, piece, pieces)
	took := time.Since(start)
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	return took
}

func writeFile(b *testing.B, path string, piece []byte, pieces int) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	for range pieces {
		if _, err = f.Write(piece); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
}
