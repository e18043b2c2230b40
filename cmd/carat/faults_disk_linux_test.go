package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carat-hub/carat/registry"
)

// smallDisk mounts a file system of 4 MiB, a part of which a file takes that
// the test may remove.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir = t.TempDir()
	if err := syscall.Mount("carat-test", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		// A process that another test is just starting holds all files that are open here, until it is another program.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	ballast = filepath.Join(dir, "ballast")
	write(t, ballast, make([]byte, 1<<20))
	return dir, ballast
}

// TestFullBlobDisk pushes until the blobs' disk is full, and again when there is space.
func TestFullBlobDisk(t *testing.T) {
	t.Parallel()
	disk, ballast := smallDisk(t)
	h, url := startHub(t, serveConfig{Blobs: filepath.Join(disk, "blobs")}, nil)
	p := newPeer(t, url, "faults/full-disk")
	var kept ledger
	kept.push(t, p, "v1", content("first", 100_000))

	// An upload in chunks and one in a single request run into the end of the disk.
	const size = 200_000
	half := content("half", 2*size)
	upload := p.session(t)
	p.want(t, http.StatusAccepted, "", http.MethodPatch, upload, half[:size])
	var full reply
	for i := 0; full.status == 0; i++ {
		layer := content(fmt.Sprint("layer ", i), size)
		got, err := p.do(t.Context(), http.MethodPost, "blobs/uploads/?digest="+digestOf(layer), bytes.NewReader(layer))
		switch {
		case err != nil || i == 100:
			t.Fatalf("push %d: %v", i, err)
		case got.status == http.StatusCreated:
			kept.blobs[digestOf(layer)] = layer
		default:
			full = got
		}
	}
	full.wants(t, "push to the full disk", http.StatusInsufficientStorage, registry.CodeNoSpace)
	if n := len(kept.blobs); n < 10 {
		t.Errorf("the disk is full after %d blobs", n)
	}
	kept.check(t, p)
	p.want(t, http.StatusInsufficientStorage, registry.CodeNoSpace, http.MethodPatch, upload, half[size:])
	p.want(t, http.StatusInsufficientStorage, registry.CodeNoSpace, http.MethodPut, upload+"?digest="+digestOf(half), half[size:])
	p.ready(t, http.StatusServiceUnavailable, "blobs", "unavailable")
	kept.check(t, p)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.ready(t, http.StatusOK, "blobs", "ok")
	at := 0
	got := p.want(t, http.StatusNoContent, "", http.MethodGet, upload, nil)
	must(fmt.Sscanf(got.header.Get("Range"), "0-%d", &at))(t)
	if at++; at < size || at >= len(half) {
		t.Fatalf("the upload stands at %d", at)
	}
	p.want(t, http.StatusCreated, "", http.MethodPut, upload+"?digest="+digestOf(half), half[at:])
	kept.blobs[digestOf(half)] = half
	kept.push(t, p, "v2", content("afterwards", size))
	kept.check(t, p)
	if got := booksOf(t, h); got.Uploads != 0 || got.Blobs != len(kept.blobs) {
		t.Errorf("%d blobs were acknowledged, the books are %+v", len(kept.blobs), got)
	}
	wantSound(t, h, h.config.Blobs)
}

// TestFullDatabaseDisk is TestFullBlobDisk for the disk of the SQLite file.
func TestFullDatabaseDisk(t *testing.T) {
	t.Parallel()
	disk, ballast := smallDisk(t)
	h, url := startHub(t, serveConfig{DatabaseURL: "sqlite:" + filepath.Join(disk, "carat.db")}, nil)
	p := newPeer(t, url, "faults/full-database")
	var kept ledger
	layer := content("layer", 100_000)
	kept.push(t, p, "v1", layer)

	manifest := func(i int) []byte { // 100 kB that are different for every i
		return bytes.Replace(imageOf(layer), []byte("{"), fmt.Appendf(nil, `{"annotations":{"n":"%d","padding":%q},`, i, strings.Repeat("x", 100_000)), 1)
	}
	var full reply
	for i := 0; full.status == 0; i++ {
		tag := fmt.Sprint("n", i)
		got, err := p.do(t.Context(), http.MethodPut, "manifests/"+tag, bytes.NewReader(manifest(i)), "Content-Type", registry.MediaTypeOCIManifest)
		switch {
		case err != nil || i == 200:
			t.Fatalf("push %d: %v", i, err)
		case got.status == http.StatusCreated:
			kept.tags[tag] = manifest(i)
		default:
			full = got
		}
	}
	full.wants(t, "push to the full disk", http.StatusInsufficientStorage, registry.CodeNoSpace)
	before := booksOf(t, h)
	if before.Manifests != len(kept.tags) || before.Tags != len(kept.tags) {
		t.Errorf("%d manifests were acknowledged, the books are %+v", len(kept.tags), before)
	}
	kept.check(t, p)
	newPeer(t, url, p.repo) // reading, and that is all it takes to sign in

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	kept.push(t, p, "v2", content("afterwards", 1000))
	p.want(t, http.StatusCreated, "", http.MethodPut, "manifests/large", manifest(-1), "Content-Type", registry.MediaTypeOCIManifest)
	kept.tags["large"] = manifest(-1)
	kept.check(t, p)
	wantSound(t, h, h.config.Blobs)
}
