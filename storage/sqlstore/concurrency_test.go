package sqlstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestParallelCommitsOfOneDigest(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n = 12
		uploads := make([]registry.Upload, n)
		for i := range uploads {
			name := registry.Name(fmt.Sprint("org/", i%3))
			b.repo(t, name, auth.Public)
			uploads[i] = b.begin(t, name)
		}
		blobs := make([]registry.Blob, n)
		for _, err := range together(n, func(i int) (err error) {
			blobs[i], err = b.CommitUpload(ctx, uploads[i], digest("same"), 4)
			return err
		}) {
			check(t, err)
		}
		for _, x := range blobs[1:] {
			if x != blobs[0] {
				t.Fatalf("blobs differ: %+v, %+v", blobs[0], x)
			}
		}
		buried, err := b.Tombstones(ctx, b.clock.now(), 100)
		check(t, err)
		if len(buried) != n-1 {
			t.Errorf("%d tombstones, want %d", len(buried), n-1)
		}
		for _, k := range buried {
			if k == blobs[0].Key {
				t.Error("the blob's own object has a tombstone")
			}
		}
	})
}

func TestParallelPutsOnOneTag(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		const n = 12
		for _, err := range together(n, func(i int) error {
			return b.PutManifest(ctx, model("org/a", fmt.Sprint(i/2), "latest", registry.Tag(fmt.Sprint("v", i))))
		}) {
			check(t, err)
		}
		m, err := b.Manifest(ctx, "org/a", registry.Reference{Tag: "latest"})
		check(t, err)
		versions, err := b.Versions(ctx, "org/a", 100)
		check(t, err)
		tags, holders := 0, 0
		for _, v := range versions {
			for _, tag := range v.Tags {
				tags++
				if tag == "latest" {
					holders++
					if v.Digest != m.Digest {
						t.Errorf("latest is on %s and on %s", v.Digest, m.Digest)
					}
				}
			}
		}
		if len(versions) != n/2 || tags != n+1 || holders != 1 || len(b.outbox.jobs) < n/2 {
			t.Errorf("%d versions, %d tags, %d times latest, %d jobs", len(versions), tags, holders, len(b.outbox.jobs))
		}
	})
}

// TestUnlinkAgainstPut lets blob deletes and manifest puts run into each
// other: whichever wins, no manifest may be without its blob.
func TestUnlinkAgainstPut(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		for round := range 20 {
			d := b.blob(t, "org/a", fmt.Sprint("blob ", round))
			w := manifest("org/a", fmt.Sprint("manifest ", round))
			w.Blobs = []registry.Digest{d}
			errs := together(2, func(i int) error {
				if i == 0 {
					return b.UnlinkBlob(ctx, "org/a", d)
				}
				return b.PutManifest(ctx, w)
			})
			_, blobErr := b.Blob(ctx, "org/a", d)
			if errs[0] == nil {
				wantCode(t, errs[1], registry.CodeManifestBlobUnknown)
				wantCode(t, blobErr, registry.CodeBlobUnknown)
			} else {
				wantCode(t, errs[0], registry.CodeDenied)
				check(t, errs[1])
				check(t, blobErr)
			}
		}
	})
}

// TestCollectorAgainstLinks lets the collector run into unlinks, commits and
// mounts of the same content: a linked blob must never have a tombstone.
func TestCollectorAgainstLinks(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, n := range []registry.Name{"org/a", "org/b", "org/c"} {
			b.repo(t, n, auth.Public)
		}
		due := b.clock.now().Add(time.Hour)
		for round := range 15 {
			d := b.blob(t, "org/a", fmt.Sprint("blob ", round))
			check(t, b.MountBlob(ctx, "org/a", "org/b", d))
			next := b.begin(t, "org/c")
			errs := together(5, func(i int) error {
				switch i {
				case 0:
					return b.UnlinkBlob(ctx, "org/a", d)
				case 1:
					return b.UnlinkBlob(ctx, "org/b", d)
				case 2:
					err := b.MountBlob(ctx, "org/b", "org/a", d)
					if registry.IsCode(err, registry.CodeBlobUnknown) {
						err = nil
					}
					return err
				case 3:
					_, err := b.CommitUpload(ctx, next, d, 1)
					return err
				}
				_, err := b.UnlinkedBlobs(ctx, due, due, 10)
				return err
			})
			for i, err := range errs {
				if err != nil {
					t.Fatalf("round %d, call %d: %v", round, i, err)
				}
			}
			kept, err := b.Blob(ctx, "org/c", d)
			check(t, err)
			buried, err := exists(ctx, b.db.reader, "SELECT 1 FROM tombstones WHERE object_key = $1", kept.Key)
			check(t, err)
			if buried {
				t.Fatalf("round %d: the blob in org/c has a tombstone", round)
			}
		}
	})
}

// TestLastUnlinkIsSeen removes all links of a blob at once: the collector
// must find it, however they overlap.
func TestLastUnlinkIsSeen(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n = 6
		repo := func(i int) registry.Name { return registry.Name(fmt.Sprint("org/", i)) }
		for i := range n {
			b.repo(t, repo(i), auth.Public)
		}
		for round := range 10 {
			var d registry.Digest
			for i := range n {
				d = b.blob(t, repo(i), fmt.Sprint("blob ", round))
			}
			for _, err := range together(n, func(i int) error { return b.UnlinkBlob(ctx, repo(i), d) }) {
				check(t, err)
			}
			var collected atomic.Int64
			later := b.clock.now().Add(time.Second)
			for _, err := range together(3, func(int) error {
				k, err := b.UnlinkedBlobs(ctx, later, later, 10)
				collected.Add(int64(k))
				return err
			}) {
				check(t, err)
			}
			if collected.Load() != 1 {
				t.Fatalf("round %d: %d blobs collected, want 1", round, collected.Load())
			}
		}
	})
}

func TestOneClaimWins(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		u := b.begin(t, "org/a")
		check(t, b.SaveUpload(ctx, u))
		now := b.clock.now()
		winners := 0
		for _, err := range together(10, func(i int) error {
			_, err := b.ClaimUpload(ctx, "org/a", u.ID, fmt.Sprint("holder ", i), now, now.Add(time.Minute))
			return err
		}) {
			if err == nil {
				winners++
				continue
			}
			wantCode(t, err, registry.CodeTooManyRequests)
		}
		if winners != 1 {
			t.Errorf("%d claims won", winners)
		}
	})
}

func TestCancelledWait(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		b.repo(t, "org/a", auth.Public)
		tx, err := b.db.writer.BeginTx(t.Context(), b.db.engine.txOptions())
		check(t, err)
		defer func() { _ = tx.Rollback() }()
		_, err = b.lockRepository(t.Context(), tx, "org/a")
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err = b.PutManifest(ctx, manifest("org/a", "{}", "v1"))
		if err == nil || ctx.Err() == nil {
			t.Fatalf("PutManifest did not wait: %v", err)
		}
		check(t, tx.Rollback())
		check(t, b.PutManifest(t.Context(), manifest("org/a", "{}", "v1")))
	})
}
