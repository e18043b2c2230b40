package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
)

// start is when the clock of every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// outbox records what is enqueued, and can fail.
type outbox struct {
	mu   sync.Mutex
	jobs []verify.Work
	fail error
}

func (o *outbox) EnqueueVersion(ctx context.Context, tx *sql.Tx, w verify.Work) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	var state string
	if err := tx.QueryRowContext(ctx, "SELECT state FROM verifications WHERE id = $1", w.Verification).Scan(&state); err != nil {
		return fmt.Errorf("the verification is not in the transaction: %w", err)
	}
	o.jobs = append(o.jobs, w)
	return nil
}

func (o *outbox) EnqueueAssessments(context.Context, *sql.Tx) error { return nil }

// bundle is what a test works with.
type bundle struct {
	*Store
	clock  *clock
	outbox *outbox
}

// engines are the engines that every test runs on.
var engines = []Engine{SQLite, Postgres}

// newURL returns the URL of an empty database.
func newURL(t testing.TB, e Engine) string {
	t.Helper()
	if e == Postgres {
		return pgtest.New(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "carat with space?.db")
}

func openDB(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, OpenOptions{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func setup(t testing.TB, e Engine) bundle {
	t.Helper()
	b := bundle{clock: &clock{t: start}, outbox: &outbox{}}
	b.Store = New(openDB(t, newURL(t, e)), Options{Clock: b.clock.now, Outbox: b.outbox})
	return b
}

// onEngines runs a test on every engine.
func onEngines(t *testing.T, test func(t *testing.T, b bundle)) {
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			test(t, setup(t, e))
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code registry.Code) {
	t.Helper()
	if !registry.IsCode(err, code) {
		t.Fatalf("error is %v, want code %s", err, code)
	}
}

// diff is cmp.Diff for values with digests.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(registry.Digest{}))
}

// digest is the digest of some text.
func digest(format string, args ...any) registry.Digest {
	return registry.DigestOf(registry.SHA256, fmt.Appendf(nil, format, args...))
}

func (b bundle) repo(t testing.TB, n registry.Name, v auth.Visibility) {
	t.Helper()
	_, err := b.CreateRepository(t.Context(), registry.Repository{Name: n, Visibility: v})
	check(t, err)
}

// begin begins an upload that "holder" has claimed for a minute.
func (b bundle) begin(t testing.TB, n registry.Name) registry.Upload {
	t.Helper()
	now := b.clock.now()
	u := registry.Upload{
		ID: uuid.NewString(), Name: n, Key: storage.NewKey(), Algorithm: registry.SHA256,
		StartedAt: now, UpdatedAt: now, Claim: "holder", ClaimUntil: now.Add(time.Minute),
	}
	check(t, b.CreateUpload(t.Context(), u))
	return u
}

// blob uploads a blob and returns its digest.
func (b bundle) blob(t testing.TB, n registry.Name, text string) registry.Digest {
	t.Helper()
	d := digest("%s", text)
	_, err := b.CommitUpload(t.Context(), b.begin(t, n), d, int64(len(text)))
	check(t, err)
	return d
}

// manifest returns a write of a manifest whose body is the text.
func manifest(n registry.Name, text string, tags ...registry.Tag) registry.ManifestWrite {
	return registry.ManifestWrite{
		Name: n,
		Manifest: registry.Manifest{
			Digest: digest("%s", text), MediaType: registry.MediaTypeOCIManifest, ArtifactType: "application/x", Body: []byte(text),
		},
		Tags: tags,
	}
}

// model returns a write of a manifest that is a version of a model.
func model(n registry.Name, text string, tags ...registry.Tag) registry.ManifestWrite {
	w := manifest(n, text, tags...)
	w.Version = &registry.Version{
		Name: n, Digest: w.Manifest.Digest, Kind: registry.KindModelPack, Size: 7,
		Files: []registry.File{{Path: "model.safetensors", Digest: digest("weights"), Size: 7, MediaType: registry.ModelPackWeight}},
	}
	return w
}

// together runs f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = f(i)
		})
	}
	done.Wait()
	return errs
}
