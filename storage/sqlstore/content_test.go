package sqlstore

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

func TestRepositories(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		_, err := b.Repository(ctx, "org/none")
		wantCode(t, err, registry.CodeNameUnknown)
		wantCode(t, b.SetVisibility(ctx, "org/none", auth.Public), registry.CodeNameUnknown)

		made, err := b.CreateRepository(ctx, registry.Repository{Name: "org/a", Visibility: auth.Private})
		check(t, err)
		want := registry.Repository{Name: "org/a", Visibility: auth.Private, CreatedAt: start, UpdatedAt: start}
		if d := diff(want, made); d != "" {
			t.Errorf("created (-want +got):\n%s", d)
		}
		b.clock.advance(time.Hour)
		again, err := b.CreateRepository(ctx, registry.Repository{Name: "org/a", Visibility: auth.Public})
		check(t, err)
		if d := diff(want, again); d != "" {
			t.Errorf("created again (-want +got):\n%s", d)
		}
		check(t, b.SetVisibility(ctx, "org/a", auth.Public))
		got, err := b.Repository(ctx, "org/a")
		check(t, err)
		want.Visibility, want.UpdatedAt = auth.Public, start.Add(time.Hour)
		if d := diff(want, got); d != "" {
			t.Errorf("after SetVisibility (-want +got):\n%s", d)
		}

		// Byte order: '-' < '.' < '/' < digits < '_' < letters.
		for _, n := range []registry.Name{"org_b", "orga", "org-b", "org.b", "org0"} {
			b.repo(t, n, auth.Public)
		}
		b.repo(t, "org/secret", auth.Private)
		for _, tt := range []struct {
			name    string
			last    registry.Name
			limit   int
			private bool
			want    []registry.Name
		}{
			{"public", "", 10, false, []registry.Name{"org-b", "org.b", "org/a", "org0", "org_b", "orga"}},
			{"all", "", 10, true, []registry.Name{"org-b", "org.b", "org/a", "org/secret", "org0", "org_b", "orga"}},
			{"page", "org/a", 2, true, []registry.Name{"org/secret", "org0"}},
			{"after what is not there", "org/m", 1, false, []registry.Name{"org0"}},
			{"end", "orga", 10, true, []registry.Name{}},
			{"none", "", 0, true, []registry.Name{}},
		} {
			got, err := b.Repositories(ctx, tt.last, tt.limit, auth.Sight{All: tt.private})
			check(t, err)
			if d := diff(tt.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, d)
			}
		}
	})
}

func TestUploadLife(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		b.repo(t, "org/b", auth.Public)
		now := b.clock.now()
		u := b.begin(t, "org/a")
		got, err := b.Upload(ctx, "org/a", u.ID)
		check(t, err)
		if d := diff(u, got); d != "" {
			t.Errorf("fresh upload (-want +got):\n%s", d)
		}
		wantCode(t, b.CreateUpload(ctx, registry.Upload{ID: "x", Name: "org/none", Key: storage.NewKey()}), registry.CodeNameUnknown)
		for name, call := range map[string]func(n registry.Name, id string) error{
			"Upload": func(n registry.Name, id string) error {
				_, err := b.Upload(ctx, n, id)
				return err
			},
			"ClaimUpload": func(n registry.Name, id string) error {
				_, err := b.ClaimUpload(ctx, n, id, "t", now, now)
				return err
			},
			"SaveUpload": func(n registry.Name, id string) error {
				return b.SaveUpload(ctx, registry.Upload{Name: n, ID: id, Claim: "holder"})
			},
			"CommitUpload": func(n registry.Name, id string) error {
				_, err := b.CommitUpload(ctx, registry.Upload{Name: n, ID: id, Claim: "holder"}, digest("x"), 1)
				return err
			},
			"DeleteUpload": func(n registry.Name, id string) error { return b.DeleteUpload(ctx, n, id) },
		} {
			for _, at := range []struct {
				n  registry.Name
				id string
			}{{"org/b", u.ID}, {"org/none", u.ID}, {"org/a", "other"}, {"org/a", "bad\x00\xff"}} {
				if at.id == "bad\x00\xff" && (name == "SaveUpload" || name == "CommitUpload") {
					continue // their ids come from the store
				}
				if err := call(at.n, at.id); !registry.IsCode(err, registry.CodeBlobUploadUnknown) {
					t.Errorf("%s(%s, %q) = %v", name, at.n, at.id, err)
				}
			}
		}

		_, err = b.ClaimUpload(ctx, "org/a", u.ID, "thief", now, now.Add(time.Hour))
		wantCode(t, err, registry.CodeTooManyRequests)
		got, err = b.ClaimUpload(ctx, "org/a", u.ID, "holder", now, now.Add(2*time.Minute))
		check(t, err)
		if want := now.Add(2 * time.Minute); got.Claim != "holder" || !got.ClaimUntil.Equal(want) {
			t.Errorf("extended claim is %q until %v", got.Claim, got.ClaimUntil)
		}

		u.Offset, u.HashState, u.State, u.UpdatedAt = 1<<40, []byte{0, 1, 255}, storage.State(`{"parts":[]}`), now.Add(time.Second)
		check(t, b.SaveUpload(ctx, u))
		got, err = b.Upload(ctx, "org/a", u.ID)
		check(t, err)
		want := u
		want.Claim, want.ClaimUntil = "", time.Time{}
		if d := diff(want, got); d != "" {
			t.Errorf("saved upload (-want +got):\n%s", d)
		}
		wantCode(t, b.SaveUpload(ctx, u), registry.CodeBlobUploadUnknown) // the claim was dropped
		wantCode(t, b.SaveUpload(ctx, got), registry.CodeBlobUploadUnknown)

		// A claim that ran out is taken over, and its old holder can do nothing.
		_, err = b.ClaimUpload(ctx, "org/a", u.ID, "holder", now, now.Add(time.Minute))
		check(t, err)
		taken, err := b.ClaimUpload(ctx, "org/a", u.ID, "next", now.Add(time.Minute), now.Add(time.Hour))
		check(t, err)
		wantCode(t, b.SaveUpload(ctx, u), registry.CodeBlobUploadUnknown)
		_, err = b.CommitUpload(ctx, u, digest("x"), 1)
		wantCode(t, err, registry.CodeBlobUploadUnknown)
		blob, err := b.CommitUpload(ctx, taken, digest("x"), 1)
		check(t, err)
		if d := diff(registry.Blob{Digest: digest("x"), Key: u.Key, Size: 1}, blob); d != "" {
			t.Errorf("blob (-want +got):\n%s", d)
		}

		// The answer was lost: the same call finds the blob, another digest does not.
		again, err := b.CommitUpload(ctx, taken, digest("x"), 1)
		check(t, err)
		if again != blob {
			t.Errorf("second commit returns %+v, want %+v", again, blob)
		}
		_, err = b.CommitUpload(ctx, taken, digest("y"), 1)
		wantCode(t, err, registry.CodeBlobUploadUnknown)

		// The same content again: the first object stays, the second is deleted.
		second := b.begin(t, "org/b")
		blob, err = b.CommitUpload(ctx, second, digest("x"), 1)
		check(t, err)
		if blob.Key != u.Key {
			t.Errorf("second blob has key %s, want %s", blob.Key, u.Key)
		}
		wantTombstones(t, b, b.clock.now(), second.Key)
		check(t, b.BuryTombstone(ctx, second.Key))
		check(t, b.BuryTombstone(ctx, second.Key))
		wantTombstones(t, b, b.clock.now())
	})
}

func wantTombstones(t *testing.T, b bundle, now time.Time, want ...storage.Key) {
	t.Helper()
	got, err := b.Tombstones(t.Context(), now, 100)
	check(t, err)
	if d := diff(append([]storage.Key{}, want...), got); d != "" {
		t.Errorf("tombstones at %v (-want +got):\n%s", now, d)
	}
}

func TestDeletedAndExpiredUploads(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		now := b.clock.now()
		held := b.begin(t, "org/a")
		check(t, b.DeleteUpload(ctx, "org/a", held.ID))
		wantTombstones(t, b, held.ClaimUntil.Add(-time.Microsecond))
		wantTombstones(t, b, held.ClaimUntil, held.Key)
		check(t, b.BuryTombstone(ctx, held.Key))

		free, claimed, fresh := b.begin(t, "org/a"), b.begin(t, "org/a"), b.begin(t, "org/a")
		check(t, b.SaveUpload(ctx, free))
		_, err := b.ClaimUpload(ctx, "org/a", claimed.ID, "holder", now, now.Add(48*time.Hour))
		check(t, err)
		b.clock.advance(24 * time.Hour)
		fresh.UpdatedAt = b.clock.now()
		check(t, b.SaveUpload(ctx, fresh))

		n, err := b.ExpireUploads(ctx, b.clock.now().Add(-time.Hour), 10)
		check(t, err)
		if n != 1 {
			t.Errorf("%d uploads expired, want 1", n)
		}
		wantTombstones(t, b, b.clock.now(), free.Key)
		_, err = b.Upload(ctx, "org/a", free.ID)
		wantCode(t, err, registry.CodeBlobUploadUnknown)
		b.clock.advance(48 * time.Hour)
		n, err = b.ExpireUploads(ctx, b.clock.now().Add(-time.Hour), 1)
		check(t, err)
		if n != 1 {
			t.Errorf("%d uploads expired at limit 1", n)
		}
		_, err = b.Upload(ctx, "org/a", claimed.ID)
		wantCode(t, err, registry.CodeBlobUploadUnknown)
		_, err = b.Upload(ctx, "org/a", fresh.ID)
		check(t, err)
	})
}

func TestBlobLinks(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, n := range []registry.Name{"org/a", "org/b"} {
			b.repo(t, n, auth.Public)
		}
		d := b.blob(t, "org/a", "content")
		first, err := b.Blob(ctx, "org/a", d)
		check(t, err)
		_, err = b.Blob(ctx, "org/b", d)
		wantCode(t, err, registry.CodeBlobUnknown)
		_, err = b.Blob(ctx, "org/none", d)
		wantCode(t, err, registry.CodeBlobUnknown)

		wantCode(t, b.MountBlob(ctx, "org/b", "org/a", digest("other")), registry.CodeBlobUnknown)
		wantCode(t, b.MountBlob(ctx, "org/none", "org/b", d), registry.CodeBlobUnknown)
		wantCode(t, b.MountBlob(ctx, "org/a", "org/none", d), registry.CodeNameUnknown)
		for range 2 {
			check(t, b.MountBlob(ctx, "org/a", "org/b", d))
		}
		mounted, err := b.Blob(ctx, "org/b", d)
		check(t, err)
		if mounted != first {
			t.Errorf("mounted blob is %+v, want %+v", mounted, first)
		}

		w := manifest("org/b", "{}")
		w.Blobs = []registry.Digest{d, d}
		check(t, b.PutManifest(ctx, w))
		wantCode(t, b.UnlinkBlob(ctx, "org/b", d), registry.CodeDenied)
		check(t, b.DeleteManifest(ctx, "org/b", w.Manifest.Digest))

		check(t, b.UnlinkBlob(ctx, "org/a", d))
		wantCode(t, b.UnlinkBlob(ctx, "org/a", d), registry.CodeBlobUnknown)
		wantCode(t, b.UnlinkBlob(ctx, "org/none", d), registry.CodeBlobUnknown)
		_, err = b.Blob(ctx, "org/a", d)
		wantCode(t, err, registry.CodeBlobUnknown)

		// Linked in org/b until an hour later; then it is collected, but not before its time.
		collect := func(before time.Time, want int) {
			t.Helper()
			n, err := b.UnlinkedBlobs(ctx, before, before.Add(time.Hour), 10)
			check(t, err)
			if n != want {
				t.Errorf("%d blobs collected, want %d", n, want)
			}
		}
		b.clock.advance(time.Hour)
		collect(b.clock.now(), 0)
		check(t, b.UnlinkBlob(ctx, "org/b", d))
		collect(b.clock.now(), 0)
		due := b.clock.now().Add(time.Minute)
		collect(due, 1)
		collect(due, 0)
		wantTombstones(t, b, due.Add(time.Hour-time.Microsecond))
		wantTombstones(t, b, due.Add(time.Hour), first.Key)

		// The same content comes back under a key of its own.
		check(t, b.BuryTombstone(ctx, first.Key))
		b.blob(t, "org/a", "content")
		back, err := b.Blob(ctx, "org/a", d)
		check(t, err)
		if back.Key == first.Key {
			t.Error("the new blob has the key of the deleted one")
		}
		check(t, b.UnlinkBlob(ctx, "org/a", d))
		b.blob(t, "org/a", "content") // linked again before anybody collected it
		collect(b.clock.now().Add(time.Hour), 0)
	})
}

func TestManifests(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		refused := manifest("org/a", "{}")
		refused.Blobs = []registry.Digest{digest("missing")}
		wantCode(t, b.PutManifest(ctx, refused), registry.CodeManifestBlobUnknown)
		_, err := b.Repository(ctx, "org/a")
		wantCode(t, err, registry.CodeNameUnknown)
		begun := manifest("org/begun", "{}")
		begun.Visibility = auth.Private
		check(t, b.PutManifest(ctx, begun))
		made, err := b.Repository(ctx, "org/begun")
		check(t, err)
		if made.Visibility != auth.Private || made.CreatedAt.IsZero() || !made.CreatedAt.Equal(made.UpdatedAt) {
			t.Errorf("the manifest's repository is %+v", made)
		}
		b.repo(t, "org/a", auth.Public)
		w := manifest("org/a", "{\"a\":\x01\xff}", "v1", "latest")
		w.Blobs = []registry.Digest{b.blob(t, "org/a", "1"), digest("missing")}
		err = b.PutManifest(ctx, w)
		wantCode(t, err, registry.CodeManifestBlobUnknown)
		var coded *registry.Error
		if !errors.As(err, &coded) || !cmp.Equal(coded.Detail, any(map[string]string{"digest": digest("missing").String()})) {
			t.Errorf("the detail of %v does not name the missing blob", err)
		}
		w.Blobs = w.Blobs[:1]
		w.Manifests = []registry.Digest{digest("child")}
		wantCode(t, b.PutManifest(ctx, w), registry.CodeManifestBlobUnknown)
		if _, err := b.Tags(ctx, "org/a", "", 10); err != nil {
			t.Fatal(err)
		}
		child := manifest("org/a", "child")
		check(t, b.PutManifest(ctx, child))
		w.Manifest.Subject = digest("not there")
		for range 2 {
			check(t, b.PutManifest(ctx, w))
		}
		want := w.Manifest
		want.CreatedAt = start
		for _, r := range []registry.Reference{{Tag: "v1"}, {Tag: "latest"}, {Digest: want.Digest}} {
			got, err := b.Manifest(ctx, "org/a", r)
			check(t, err)
			if d := diff(want, got); d != "" {
				t.Errorf("manifest %s (-want +got):\n%s", r, d)
			}
		}
		for _, r := range []registry.Reference{{Tag: "v2"}, {Digest: digest("no")}} {
			_, err := b.Manifest(ctx, "org/a", r)
			wantCode(t, err, registry.CodeManifestUnknown)
		}
		_, err = b.Manifest(ctx, "org/b", registry.Reference{Tag: "v1"})
		wantCode(t, err, registry.CodeManifestUnknown)

		check(t, b.PutManifest(ctx, manifest("org/a", "next", "latest")))
		moved, err := b.Manifest(ctx, "org/a", registry.Reference{Tag: "latest"})
		check(t, err)
		if string(moved.Body) != "next" {
			t.Errorf("latest is %q", moved.Body)
		}

		wantCode(t, b.DeleteManifest(ctx, "org/a", child.Manifest.Digest), registry.CodeDenied)
		wantCode(t, b.DeleteManifest(ctx, "org/a", digest("no")), registry.CodeManifestUnknown)
		wantCode(t, b.DeleteManifest(ctx, "org/none", digest("no")), registry.CodeManifestUnknown)
		check(t, b.DeleteManifest(ctx, "org/a", want.Digest))
		check(t, b.DeleteManifest(ctx, "org/a", child.Manifest.Digest))
		tags, err := b.Tags(ctx, "org/a", "", 10)
		check(t, err)
		if d := diff([]registry.Tag{"latest"}, tags); d != "" {
			t.Errorf("tags left (-want +got):\n%s", d)
		}
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		_, err := b.Tags(ctx, "org/a", "", 10)
		wantCode(t, err, registry.CodeNameUnknown)
		b.repo(t, "org/a", auth.Public)
		check(t, b.PutManifest(ctx, manifest("org/a", "{}", "b", "B", "_", "a.1", "a-1", "10", "9")))
		for _, tt := range []struct {
			last  registry.Tag
			limit int
			want  []registry.Tag
		}{
			{"", 100, []registry.Tag{"10", "9", "B", "_", "a-1", "a.1", "b"}},
			{"9", 2, []registry.Tag{"B", "_"}},
			{"a", 1, []registry.Tag{"a-1"}},
			{"b", 5, []registry.Tag{}},
			{"\xff\x00", 5, []registry.Tag{}},
			{"", 0, []registry.Tag{}},
		} {
			got, err := b.Tags(ctx, "org/a", tt.last, tt.limit)
			check(t, err)
			if d := diff(tt.want, got); d != "" {
				t.Errorf("after %q (-want +got):\n%s", tt.last, d)
			}
		}
		check(t, b.DeleteTag(ctx, "org/a", "b"))
		wantCode(t, b.DeleteTag(ctx, "org/a", "b"), registry.CodeManifestUnknown)
		wantCode(t, b.DeleteTag(ctx, "org/none", "b"), registry.CodeManifestUnknown)
		_, err = b.Manifest(ctx, "org/a", registry.Reference{Digest: digest("{}")})
		check(t, err)
	})
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		subject := manifest("org/a", "subject")
		check(t, b.PutManifest(ctx, subject))
		var want []registry.Referrer
		for i := range 5 {
			w := manifest("org/a", fmt.Sprint("referrer ", i))
			w.Manifest.Subject = subject.Manifest.Digest
			w.Manifest.ArtifactType = fmt.Sprint("application/", i%2)
			w.Annotations = map[string]string{"n": fmt.Sprint(i), "nul": "\x00"}
			check(t, b.PutManifest(ctx, w))
			want = append(want, registry.Referrer{
				Digest: w.Manifest.Digest, MediaType: w.Manifest.MediaType, ArtifactType: w.Manifest.ArtifactType,
				Size: int64(len(w.Manifest.Body)), Annotations: w.Annotations,
			})
		}
		bytesOf := func(r registry.Referrer) []byte { return []byte(r.Digest.String()) }
		for i := range want {
			for j := range i {
				if bytes.Compare(bytesOf(want[i]), bytesOf(want[j])) < 0 {
					want[i], want[j] = want[j], want[i]
				}
			}
		}
		var odd []registry.Referrer
		for _, r := range want {
			if r.ArtifactType == "application/1" {
				odd = append(odd, r)
			}
		}
		check(t, b.DeleteManifest(ctx, "org/a", subject.Manifest.Digest)) // they outlive it
		for _, tt := range []struct {
			name, artifact string
			repo           registry.Name
			last           registry.Digest
			limit, size    int
			want           []registry.Referrer
		}{
			{"all", "", "org/a", registry.Digest{}, 10, 100, want},
			{"filtered", "application/1", "org/a", registry.Digest{}, 10, 100, odd},
			{"foreign text", "x\x00\xff", "org/a", registry.Digest{}, 10, 100, []registry.Referrer{}},
			{"page", "", "org/a", want[1].Digest, 2, 100, want[2:4]},
			{"other repository", "", "org/b", registry.Digest{}, 10, 100, []registry.Referrer{}},
			{"annotations of 6 bytes each", "", "org/a", registry.Digest{}, 10, 17, want[:3]},
			{"two at least", "", "org/a", registry.Digest{}, 10, 1, want[:2]},
		} {
			got, err := b.Referrers(ctx, tt.repo, subject.Manifest.Digest, tt.artifact, tt.last, tt.limit, tt.size)
			check(t, err)
			if d := diff(tt.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, d)
			}
		}
	})
}

func TestUsersAndSecrets(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		if _, err := b.User(ctx, "ann\x00\xff"); !errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("User = %v", err)
		}
		made, err := b.CreateUser(ctx, auth.User{Name: "ann", PasswordHash: "h", Admin: true})
		check(t, err)
		if made.ID <= 0 || !made.CreatedAt.Equal(start) {
			t.Errorf("made %+v", made)
		}
		got, err := b.User(ctx, "ann")
		check(t, err)
		made.Roles = auth.Roles{"ann": auth.Owner} // of the name space
		if d := diff(made, got); d != "" {
			t.Errorf("user (-want +got):\n%s", d)
		}
		if _, err := b.CreateUser(ctx, auth.User{Name: "ann"}); !errors.Is(err, auth.ErrUserExists) {
			t.Errorf("CreateUser again = %v", err)
		}
		other, err := b.CreateUser(ctx, auth.User{Name: "Ann"})
		check(t, err)
		if other.ID == made.ID || other.Admin {
			t.Errorf("made %+v", other)
		}

		results := make([][]byte, 8)
		for _, err := range together(len(results), func(i int) (err error) {
			results[i], err = b.Secret(ctx, "key", []byte{0, byte(i)})
			return err
		}) {
			check(t, err)
		}
		for _, r := range results[1:] {
			if len(r) != 2 || !bytes.Equal(r, results[0]) {
				t.Errorf("callers got different secrets: %v", results)
			}
		}
	})
}
