package main

import (
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// objectBytes is how many bytes the objects in a folder have.
func objectBytes(t *testing.T, folder string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/objects/") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDeletedModelFreesSpace deletes one of two models over HTTP and cleans
// up as the hub's job does, a month later.
func TestDeletedModelFreesSpace(t *testing.T) {
	t.Parallel()
	onFolders(t, func(t *testing.T, h *theHub, url, folder string) {
		p := newPeer(t, url, "space/model")
		var kept, gone ledger
		kept.push(t, p, "v1", content("kept", 100_000))
		want := objectBytes(t, folder)
		gone.push(t, p, "v2", content("gone", 200_000))
		abandoned := content("abandoned", 300_000)
		p.blob(t, abandoned)
		p.want(t, http.StatusAccepted, "", http.MethodDelete, "manifests/"+digestOf(gone.tags["v2"]), nil)
		if got := objectBytes(t, folder); got < want+500_000 {
			t.Errorf("%d bytes are stored before the clean-up, want %d and more", got, want+500_000)
		}

		ctx, later := t.Context(), time.Now().Add(30*24*time.Hour)
		if n := must(h.store.DropUnreferencedLinks(ctx, later, 100))(t); n != 2 {
			t.Errorf("%d links dropped, want 2", n)
		}
		if n := must(h.store.UnlinkedBlobs(ctx, later, later, 100))(t); n != 2 {
			t.Errorf("%d blobs dropped, want 2", n)
		}

		due := must(h.store.Tombstones(ctx, later, 100))(t)
		for _, k := range due {
			if err := h.blobs.Delete(ctx, k); err != nil {
				t.Fatal(err)
			}
			if err := h.store.BuryTombstone(ctx, k); err != nil {
				t.Fatal(err)
			}
		}
		if got := objectBytes(t, folder); got != want {
			t.Errorf("%d bytes are stored after the clean-up, want %d", got, want)
		}
		wantSound(t, h, folder)
		kept.check(t, p)
		gone.push(t, p, "v2", content("gone", 200_000))
		gone.check(t, p)
	})
}
