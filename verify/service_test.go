package verify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
)

// memoryStore keeps one version's record and verifications.
type memoryStore struct {
	verify.Store
	mu       sync.Mutex
	version  *registry.Version // nil when it is gone
	facts    *registry.Facts
	problem  string
	newest   verify.Verification
	progress []verify.State
	final    *verify.Report
	referrer registry.Digest
	lost     error // what finishing fails with

	older   []registry.Version // of the same model, newest first
	reports map[registry.Digest]*verify.Report
	others  map[registry.Name][]registry.Version
	private map[registry.Name]bool
}

var errGone = registry.Errorf(registry.CodeManifestUnknown, "the version is gone")

func (s *memoryStore) Version(context.Context, auth.Grant, registry.Reference) (registry.Version, error) {
	if s.version == nil {
		return registry.Version{}, errGone
	}
	return *s.version, nil
}

func (s *memoryStore) Versions(_ context.Context, g auth.Grant) ([]registry.Version, error) {
	if n := registry.Name(g.Repository()); s.others[n] != nil || s.version == nil || n != s.version.Name {
		return s.others[n], nil
	}
	return append([]registry.Version{*s.version}, s.older...), nil
}

func (s *memoryStore) Visibility(_ context.Context, n registry.Name) (auth.Visibility, bool, error) {
	if s.private[n] {
		return auth.Private, true, nil
	}
	return auth.Public, s.others[n] != nil, nil
}

func (s *memoryStore) SaveFacts(_ context.Context, g auth.Grant, _ registry.Digest, f *registry.Facts, problem string) error {
	if !g.Permits(auth.Push) {
		return auth.ErrDenied
	}
	s.facts, s.problem = f, problem
	return nil
}

func (s *memoryStore) Verification(_ context.Context, _ registry.Name, d registry.Digest) (verify.Verification, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reports[d]; r != nil {
		return verify.Verification{State: r.State, Report: r}, nil
	}
	return s.newest, nil
}

func (s *memoryStore) SaveProgress(_ context.Context, _ int64, r *verify.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = append(s.progress, r.State)
	s.newest.State, s.newest.Report = verify.StateRunning, r
	return nil
}

func (s *memoryStore) FinishVerification(_ context.Context, _ int64, r *verify.Report, referrer registry.Digest) error {
	if s.lost != nil {
		return s.lost
	}
	s.final, s.referrer = r, referrer
	return nil
}

// bench is a service over a hub in memory that holds one version.
type bench struct {
	hub     *memoryHub
	store   *memoryStore
	options verify.ServiceOptions
	service *verify.Service
	version registry.Version
	seconds int // of the clock, which each look at it moves
}

func setup(t *testing.T, files map[string][]byte) *bench {
	t.Helper()
	b := &bench{hub: newHub(), store: &memoryStore{}}
	b.version = version(b.hub, files)
	b.hub.manifests[b.version.Digest] = registry.Manifest{Digest: b.version.Digest, MediaType: registry.MediaTypeOCIManifest, Body: []byte("manifest")}
	b.store.version = &b.version
	b.store.newest = verify.Verification{ID: 1, State: verify.StatePending}
	b.options = verify.ServiceOptions{
		Versions: b.store, Publisher: b.hub, Store: b.store, Checks: check.InProcess{},
		Source: verify.Source{Blobs: b.hub, Cache: openCache(t, t.TempDir(), 64<<20)},
		Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			b.seconds++
			return time.Date(2030, 1, 2, 3, 4, b.seconds, 0, time.UTC)
		},
	}
	b.service = verify.NewService(b.options)
	return b
}

func (b *bench) work(id int64) verify.Work {
	return verify.Work{Verification: id, Name: "org/m", Digest: b.version.Digest}
}

func (b *bench) verify(t *testing.T, last bool) error {
	t.Helper()
	return b.service.Verify(t.Context(), b.work(1), last)
}

func TestServiceVerifies(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{"model.safetensors": []byte("no such thing")})
	if err := b.verify(t, false); err != nil {
		t.Fatal(err)
	}
	if b.store.final == nil || b.store.final.State != verify.StateFailed {
		t.Fatalf("final report %+v", b.store.final)
	}
	if len(b.store.progress) < 3 || b.store.progress[0] != verify.StateRunning {
		t.Errorf("progress %v", b.store.progress)
	}
	m := b.hub.manifests[b.store.referrer]
	if m.Subject != b.version.Digest || !bytes.Contains(m.Body, []byte(`"failed"`)) {
		t.Errorf("referrer %s of %s", m.Body, m.Subject)
	}
	b.store.newest = verify.Verification{ID: 1, State: verify.StateFailed}
	b.store.final = nil
	if err := b.verify(t, false); err != nil || b.store.final != nil {
		t.Errorf("a finished verification was done again: %v", err)
	}
}

// TestServicePublishesOnce: when the hub dies between publishing a report and
// finishing the verification, the next attempt publishes the same report.
func TestServicePublishesOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{"model.safetensors": []byte("no such thing")})
	b.store.lost = storage.ErrUnavailable
	if err := b.verify(t, false); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	reports := len(b.hub.manifests)
	if reports != 2 { // the version and its report
		t.Fatalf("%d manifests", reports)
	}
	attempts := len(b.store.progress)
	b.store.lost = nil
	if err := b.verify(t, false); err != nil {
		t.Fatal(err)
	}
	if len(b.hub.manifests) != reports || b.hub.manifests[b.store.referrer].Subject != b.version.Digest {
		t.Errorf("%d manifests, referrer %s", len(b.hub.manifests), b.store.referrer)
	}
	if len(b.store.progress) != attempts {
		t.Error("the checks were run again")
	}
	// Asked for again, the version gets another report beside the first.
	b.store.newest = verify.Verification{ID: 2, State: verify.StatePending}
	if err := b.service.Verify(t.Context(), b.work(2), false); err != nil || len(b.hub.manifests) != reports+1 {
		t.Errorf("second verification: %v, %d manifests", err, len(b.hub.manifests))
	}
	if err := b.verify(t, false); err != nil || len(b.hub.manifests) != reports+1 {
		t.Errorf("the first one once more: %v, %d manifests", err, len(b.hub.manifests))
	}
}

func TestServiceRetriesInfrastructureOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{"model.gguf": []byte("no such thing")})
	b.hub.broken = storage.ErrUnavailable
	if err := b.verify(t, false); !errors.Is(err, storage.ErrUnavailable) || b.store.final != nil {
		t.Fatalf("first attempt: %v, report %+v", err, b.store.final)
	}
	if err := b.verify(t, true); err != nil {
		t.Fatal(err)
	}
	if b.store.final == nil || b.store.final.State != verify.StateError || b.store.referrer.IsZero() {
		t.Errorf("last attempt: report %+v, referrer %s", b.store.final, b.store.referrer)
	}
}

func TestServiceAndVersionsThatAreGone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.store.version = nil
	if err := b.verify(t, false); err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := b.service.Inspect(t.Context(), "org/m", b.version.Digest, false); err != nil {
		t.Errorf("inspect: %v", err)
	}
	if b.store.final != nil || b.store.facts != nil {
		t.Error("something was stored for a version that is gone")
	}
	b = setup(t, map[string][]byte{"model.gguf": []byte("x")})
	delete(b.hub.manifests, b.version.Digest) // deleted while it is verified
	if err := b.verify(t, false); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestServiceStopsWithItsContext(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{"model.gguf": []byte("x")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.service.Verify(ctx, b.work(1), true); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if b.store.final != nil {
		t.Error("an interrupted verification was finished")
	}
}

// tireless are checks that go on until they are stopped.
type tireless struct {
	check.InProcess
	begun chan struct{}
}

func (e tireless) Verify(ctx context.Context, _ verify.Files, o verify.RunOptions) *verify.Report {
	close(e.begun)
	<-ctx.Done()
	r := o.NewReport()
	r.State, r.Summary = verify.StateError, context.Cause(ctx).Error()
	return r
}

func TestServiceStopsWhatIsCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{"model.gguf": []byte("x")})
	e := tireless{begun: make(chan struct{})}
	b.options.Checks, b.options.WatchEvery = e, time.Millisecond
	b.service = verify.NewService(b.options)
	go func() {
		<-e.begun
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		b.store.newest = verify.Verification{ID: 1, State: verify.StateCancelled}
	}()
	if err := b.verify(t, false); err != nil {
		t.Errorf("error %v", err)
	}
	if b.store.final != nil || len(b.hub.manifests) != 1 {
		t.Error("a cancelled verification was published")
	}
}

func TestServiceInspects(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string][]byte{
		"README.md": []byte("---\nlicense: mit\n---\n# Small\n\nWords."), "LICENSE": []byte("The terms."), "model.gguf": []byte("no such thing"),
	})
	if err := b.service.Inspect(t.Context(), "org/m", b.version.Digest, false); err != nil {
		t.Fatal(err)
	}
	f := b.store.facts
	if f == nil || f.Card.Title != "Small" || f.License.Declared != "MIT" || f.License.File != "LICENSE" || f.License.Text != "The terms." {
		t.Errorf("facts %+v", f)
	}
	if b.store.problem == "" {
		t.Error("the broken weights were not mentioned")
	}
	b.store.facts, b.store.problem = nil, ""
	b.hub.broken = storage.ErrUnavailable
	if err := b.service.Inspect(t.Context(), "org/m", b.version.Digest, false); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("lost connection: %v", err)
	}
	if b.store.problem != "" {
		t.Errorf("stored %q although another attempt follows", b.store.problem)
	}
	if err := b.service.Inspect(t.Context(), "org/m", b.version.Digest, true); err == nil || b.store.problem != "the files could not be read" {
		t.Errorf("last attempt: %v, stored %q", err, b.store.problem)
	}
}
