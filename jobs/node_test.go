package jobs_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/jobs"
	"github.com/carat-hub/carat/registry"
	blobfs "github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/sqlstore"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
)

func openDB(t *testing.T, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url, sqlstore.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

// options are those of a node on the database.
func options(db *sqlstore.DB) jobs.Options {
	return jobs.Options{Engine: string(db.Engine()), DB: db.Writer(), Pool: db.PgxPool()}
}

// engines runs a test on both databases.
func engines(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, t.TempDir()+"/carat.db")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.New(t))
	})
}

func TestTwoNodesShareTheJobs(t *testing.T) {
	t.Parallel()
	const count = 20
	url := pgtest.New(t)
	w := newRecorder()
	var queues sync.WaitGroup
	nodes := make([]*jobs.Queue, 2)
	dbs := []*sqlstore.DB{openDB(t, url), openDB(t, url)}
	for i := range nodes { // both migrate at the same time
		queues.Go(func() {
			q, err := jobs.New(t.Context(), options(dbs[i]))
			if err != nil {
				t.Error(err)
			}
			nodes[i] = q
		})
	}
	queues.Wait()
	if t.Failed() {
		return
	}
	for id := range int64(count) {
		enqueue(t, dbs[id%2].Writer(), nodes[id%2], id+1)
	}
	for _, q := range nodes {
		start(t, q, jobs.Services{Worker: w})
	}
	seen := map[int64]int{}
	for len(seen) < count {
		if c := w.next(t); c.Kind == "verify" {
			seen[c.ID]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("verification %d ran %d times", id, n)
		}
	}
}

// TestSmallGoFirst: whatever came first, the small model is verified before
// the large one, unless that one has waited long.
func TestSmallGoFirst(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		wait  time.Duration // between the large model and the work
		order []int64
	}{
		"at once":          {0, []int64{2, 3, 1}},
		"the large waited": {time.Hour, []int64{1, 2, 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, url string) {
				db := openDB(t, url)
				o := options(db)
				o.Now = func() time.Time { return time.Now().Add(tt.wait) }
				o.VerifyWorkers = jobs.NoWorkers
				// A node that verifies nothing itself moves up what waits.
				upkeep := newQueue(t, o)
				for _, w := range []verify.Work{{Verification: 1, Size: 30 << 30}, {Verification: 2, Size: 5}, {Verification: 3, Size: 6}} {
					w.Name, w.Digest = "org/m", someDigest
					enqueueWork(t, db.Writer(), upkeep, w)
				}
				if err := upkeep.Start(t.Context(), jobs.Services{Worker: newRecorder()}); err != nil {
					t.Fatal(err)
				}
				waitState(t, db.Writer(), "age", "completed")
				if err := upkeep.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				o.VerifyWorkers = 1
				w := newRecorder()
				start(t, newQueue(t, o), jobs.Services{Worker: w})
				var got []int64
				for len(got) < 3 {
					if c := w.next(t); c.Kind == "verify" {
						got = append(got, c.ID)
					}
				}
				if diff := cmp.Diff(tt.order, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// push puts a model into the registry and returns its digest.
func push(t *testing.T, r *registry.Registry, name registry.Name, files fs.FS) registry.Digest {
	t.Helper()
	g := auth.System(string(name), auth.Push)
	put := func(mediaType string, p []byte) ocispec.Descriptor {
		d := registry.DigestOf(registry.SHA256, p)
		if _, err := r.PutBlob(t.Context(), g, d, int64(len(p)), bytes.NewReader(p)); err != nil {
			t.Fatal(err)
		}
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(d.String()), Size: int64(len(p))}
	}
	m := ocispec.Manifest{MediaType: registry.MediaTypeOCIManifest, ArtifactType: registry.ModelPackArtifact, Config: put(registry.ModelPackConfig, []byte("{}"))}
	m.SchemaVersion = 2
	list, err := fs.ReadDir(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		p, err := fs.ReadFile(files, e.Name())
		if err != nil {
			t.Fatal(err)
		}
		layer := put(registry.ModelPackWeight, p)
		layer.Annotations = map[string]string{registry.AnnotationModelPackPath: e.Name()}
		m.Layers = append(m.Layers, layer)
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.PutManifest(t.Context(), g, registry.ManifestPut{
		Reference: registry.Reference{Tag: "v1"}, MediaType: registry.MediaTypeOCIManifest, Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.Digest
}

// TestPushLeadsToAReport goes the whole way: a manifest PUT, the jobs of its
// transaction, facts, the report in SQL and as a referrer.
func TestPushLeadsToAReport(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, url string) {
		db := openDB(t, url)
		q := newQueue(t, options(db))
		store := sqlstore.New(db, sqlstore.Options{Outbox: q})
		blobs, err := blobfs.New(blobfs.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		r := registry.New(registry.Options{Blobs: blobs, Store: store})
		service := verify.NewService(verify.ServiceOptions{
			Versions: r, Publisher: r, Store: store, Checks: check.InProcess{}, Source: verify.Source{Blobs: r},
		})
		start(t, q, jobs.Services{Worker: service, Backlog: store, Store: store, Collector: store, Blobs: blobs})

		broken := push(t, r, "org/broken", fstest.MapFS{"model.safetensors": {Data: []byte("this is no model")}})
		whole := push(t, r, "org/whole", os.DirFS("../examples/tiny-llama"))

		v, record := awaitReport(t, store, r, "org/broken", broken)
		if v.State != verify.StateFailed || len(v.Report.Failed()) == 0 || record.FactsError == "" {
			t.Errorf("%s: %s, facts error %q", v.State, v.Report.Summary, record.FactsError)
		}
		v, record = awaitReport(t, store, r, "org/whole", whole)
		if v.State != verify.StatePassed || !strings.Contains(v.Report.Summary, "checks passed") {
			t.Errorf("%s: %s", v.State, v.Report.Summary)
		}
		if record.FactsError != "" || record.Facts.Parameters != 2885888 || record.Facts.License.Declared != "Apache-2.0" {
			t.Errorf("facts error %q, facts %+v", record.FactsError, record.Facts)
		}
	})
}

// awaitReport waits for facts and final report of a version and checks that
// the report is its referrer.
func awaitReport(t *testing.T, store *sqlstore.Store, r *registry.Registry, n registry.Name, d registry.Digest) (verify.Verification, registry.Version) {
	t.Helper()
	g := auth.System(string(n), auth.Pull)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(4 * deadline); time.Now().Before(end); <-poll.C {
		v, err := store.Verification(t.Context(), n, d)
		if err != nil {
			t.Fatal(err)
		}
		record, err := r.Version(t.Context(), g, registry.Reference{Digest: d})
		if err != nil {
			t.Fatal(err)
		}
		if !v.State.Done() || record.Facts == nil {
			continue
		}
		referrers, _, err := r.Referrers(t.Context(), g, d, registry.ArtifactVerification, registry.Digest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(referrers) != 1 || referrers[0].Digest != v.Referrer || referrers[0].Annotations[verify.AnnotationState] != string(v.State) {
			t.Errorf("%s has referrers %+v, not %s", n, referrers, v.Referrer)
		}
		return v, record
	}
	t.Fatalf("there is no report about %s", n)
	panic("unreachable")
}
