package sqlstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// day is the grace time of these tests.
const day = 24 * time.Hour

// drop drops the links that were unreferenced a day ago or longer, and fails
// the test unless there are as many as wanted.
func (b bundle) drop(t *testing.T, want int) {
	t.Helper()
	got, err := b.DropUnreferencedLinks(t.Context(), b.clock.now().Add(-day), 100)
	check(t, err)
	if got != want {
		t.Errorf("%d links dropped, want %d", got, want)
	}
}

// put puts a manifest that refers to the blobs.
func (b bundle) put(t *testing.T, n registry.Name, text string, blobs ...registry.Digest) registry.Digest {
	t.Helper()
	w := manifest(n, text)
	w.Blobs = blobs
	check(t, b.PutManifest(t.Context(), w))
	return w.Manifest.Digest
}

// wantLinks fails the test unless exactly these of the repository's blobs are there.
func (b bundle) wantLinks(t *testing.T, n registry.Name, want ...registry.Digest) {
	t.Helper()
	got, err := list(t.Context(), b.db.reader, scanOne[registry.Digest],
		"SELECT l.digest FROM blob_links l JOIN repositories r ON r.id = l.repository_id WHERE r.name = $1 ORDER BY l.digest", n)
	check(t, err)
	if d := diff(append([]registry.Digest{}, distinct(want)...), got); d != "" {
		t.Errorf("links of %s (-want +got):\n%s", n, d)
	}
}

// TestDeletedModelFreesItsSpace follows the blobs of a model from its
// deletion to the tombstones of their objects.
func TestDeletedModelFreesItsSpace(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		b.repo(t, "org/b", auth.Public)
		own, shared, elsewhere := b.blob(t, "org/a", "own"), b.blob(t, "org/a", "shared"), b.blob(t, "org/a", "elsewhere")
		check(t, b.MountBlob(ctx, "org/a", "org/b", elsewhere))
		first := b.put(t, "org/a", "first", own, shared, elsewhere)
		b.put(t, "org/a", "second", shared)
		b.put(t, "org/b", "other", elsewhere)
		kept, err := b.Blob(ctx, "org/a", own)
		check(t, err)

		b.clock.advance(3 * day)
		b.drop(t, 0) // all are referred to
		check(t, b.DeleteManifest(ctx, "org/a", first))
		b.clock.advance(day)
		b.drop(t, 0) // not longer than the grace time
		b.wantLinks(t, "org/a", own, shared, elsewhere)
		b.clock.advance(time.Second)
		b.drop(t, 2)
		b.drop(t, 0)
		b.wantLinks(t, "org/a", shared)
		b.wantLinks(t, "org/b", elsewhere)

		due := b.clock.now().Add(day)
		n, err := b.UnlinkedBlobs(ctx, b.clock.now().Add(time.Second), due, 10)
		check(t, err)
		if n != 1 {
			t.Errorf("%d blobs collected, want the one that nothing links", n)
		}
		wantTombstones(t, b, due, kept.Key)
		_, err = b.Blob(ctx, "org/b", elsewhere)
		check(t, err)
	})
}

// TestAbandonedPushFreesItsSpace pushes blobs whose manifest never comes.
func TestAbandonedPushFreesItsSpace(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		b.repo(t, "org/b", auth.Public)
		abandoned, again, mounted, used := b.blob(t, "org/a", "abandoned"), b.blob(t, "org/a", "again"), b.blob(t, "org/a", "mounted"), b.blob(t, "org/a", "used")
		check(t, b.MountBlob(ctx, "org/a", "org/b", mounted))
		b.clock.advance(day)
		// What is pushed or mounted again has its time again; what a manifest refers to has no end.
		b.blob(t, "org/a", "again")
		check(t, b.MountBlob(ctx, "org/a", "org/b", mounted))
		b.put(t, "org/a", "manifest", used)
		b.clock.advance(time.Second)
		b.drop(t, 2)
		b.wantLinks(t, "org/a", again, used)
		b.wantLinks(t, "org/b", mounted)
		_, err := b.Blob(ctx, "org/a", abandoned)
		wantCode(t, err, registry.CodeBlobUnknown)

		// A push of a blob that is in use does not begin its time.
		b.blob(t, "org/a", "used")
		check(t, b.MountBlob(ctx, "org/a", "org/b", used))
		b.clock.advance(2 * day)
		b.drop(t, 3)
		b.wantLinks(t, "org/a", used)
		b.wantLinks(t, "org/b")
	})
}

func TestDropUnreferencedLinksInBatches(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		for i := range 6 {
			n := registry.Name(fmt.Sprint("org/", i%2))
			b.repo(t, n, auth.Public)
			b.blob(t, n, fmt.Sprint("blob ", i))
			b.clock.advance(time.Minute)
		}
		b.clock.advance(2 * day)
		var got []int
		for range 4 {
			n, err := b.DropUnreferencedLinks(t.Context(), b.clock.now(), 4)
			check(t, err)
			got = append(got, n)
		}
		if want := []int{4, 2, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("dropped %v, want %v", got, want)
		}
	})
}

// TestDropAgainstPushes lets the clean-up run into all that may need a link:
// whoever was told that the link is there still has it afterwards.
func TestDropAgainstPushes(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, n := range []registry.Name{"org/a", "org/b", "org/c"} {
			b.repo(t, n, auth.Public)
		}
		for round := range 15 {
			put, mount, commit := b.blob(t, "org/a", fmt.Sprint("put ", round)), b.blob(t, "org/a", fmt.Sprint("mount ", round)), b.blob(t, "org/a", fmt.Sprint("commit ", round))
			check(t, b.MountBlob(ctx, "org/a", "org/b", mount))
			b.clock.advance(2 * day)
			before := b.clock.now().Add(-day)
			next := b.begin(t, "org/a")
			w := manifest("org/a", fmt.Sprint("manifest ", round))
			w.Blobs = []registry.Digest{put, commit}
			errs := together(5, func(i int) error {
				switch i {
				case 0:
					return b.PutManifest(ctx, w)
				case 1:
					return b.MountBlob(ctx, "org/a", "org/b", mount)
				case 2:
					_, err := b.CommitUpload(ctx, next, commit, 1)
					return err
				}
				_, err := b.DropUnreferencedLinks(ctx, before, 100)
				return err
			})
			for i, err := range errs[2:] {
				if err != nil {
					t.Fatalf("round %d, call %d: %v", round, i+2, err)
				}
			}
			_, err := b.Blob(ctx, "org/a", commit)
			check(t, err)
			if errs[0] == nil {
				_, err := b.Blob(ctx, "org/a", put)
				check(t, err)
			} else {
				wantCode(t, errs[0], registry.CodeManifestBlobUnknown)
			}
			if errs[1] == nil {
				_, err := b.Blob(ctx, "org/b", mount)
				check(t, err)
			} else {
				wantCode(t, errs[1], registry.CodeBlobUnknown)
			}
			// A blob is on the way out exactly when nothing links it.
			wrong, err := list(ctx, b.db.reader, scanOne[registry.Digest], `SELECT digest FROM blobs
				WHERE (unlinked_at IS NULL) <> EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)`)
			check(t, err)
			if len(wrong) > 0 {
				t.Fatalf("round %d: blobs %v are marked wrongly", round, wrong)
			}
		}
	})
}
