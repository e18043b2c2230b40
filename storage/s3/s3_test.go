package s3_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/carat-hub/carat/internal/s3test"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/storage/s3"
	"github.com/carat-hub/carat/storage/storagetest"
)

const mib = 1 << 20

// options names a bucket of the test's own.
func options(t testing.TB) s3.Options {
	t.Helper()
	srv := s3test.New(t)
	return s3.Options{
		Endpoint:        srv.Endpoint,
		Region:          srv.Region,
		AccessKeyID:     srv.AccessKey,
		SecretAccessKey: srv.SecretKey,
		PathStyle:       true,
		Bucket:          srv.Bucket,
		Prefix:          "a/b",
		PartSize:        5 * mib,
	}
}

func open(t testing.TB, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.New(t.Context(), o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

// broken is a store behind a proxy that makes faults.
func broken(t *testing.T) (*s3.Store, *faults, s3.Options) {
	t.Helper()
	o := options(t)
	f := newFaults(t, o.Endpoint)
	o.Endpoint = f.URL
	o.Attempts = 3
	return open(t, o), f, o
}

func random(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func TestSuite(t *testing.T) {
	t.Parallel()
	o := options(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		o := o
		o.Prefix = uuid.NewString()
		return open(t, o)
	})
}

// create begins an object and writes p, which must succeed.
func create(t *testing.T, s storage.Store, p []byte) (storage.Key, storage.Writer) {
	t.Helper()
	key := storage.NewKey()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	return key, w
}

func wantObject(t *testing.T, s storage.Store, key storage.Key, want []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("object of %d bytes is not what was written, %d bytes", len(got), len(want))
	}
}

func wantErr(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s: error %v, want %v", what, err, target)
	}
}

// wantNoMemory fails when a stream that ended still holds some.
func wantNoMemory(t *testing.T, s *s3.Store) {
	t.Helper()
	if n := s.Used(); n != 0 {
		t.Errorf("%d bytes of buffers were not given back", n)
	}
}

// rest lists everything in the bucket: objects, and uploads with "+" before
// their names.
func rest(t *testing.T, o s3.Options) []string {
	t.Helper()
	c := client(t, o)
	var names []string
	for info := range c.ListObjectsIter(t.Context(), o.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if info.Err != nil {
			t.Fatalf("list: %v", info.Err)
		}
		names = append(names, info.Key)
	}
	page, err := c.ListMultipartUploads(t.Context(), o.Bucket, "", "", "", "", 1000)
	if err != nil {
		t.Fatalf("list uploads: %v", err)
	}
	for _, u := range page.Uploads {
		names = append(names, "+"+u.Key)
	}
	slices.Sort(names)
	return names
}

func client(t *testing.T, o s3.Options) *minio.Core {
	t.Helper()
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.NewCore(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(o.AccessKeyID, o.SecretAccessKey, ""),
		Region: o.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTemporaryFaults has every kind of request fail once before it works.
func TestTemporaryFaults(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]act{
		"500":            answer(http.StatusInternalServerError, "InternalError"),
		"503":            answer(http.StatusServiceUnavailable, "SlowDown"),
		"429":            answer(http.StatusTooManyRequests, "TooManyRequests"),
		"reset":          cut,
		"answer lost":    lose,
		"answer torn":    tear,
		"no XML":         func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) },
		"error with 200": answer(http.StatusOK, "InternalError"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f, o := broken(t)
			kinds := []string{
				"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutTail", "GetTail",
				"PutObject", "ListParts", "HeadObject", "GetObject", "DeleteObject", "DeleteTail", "AbortMultipartUpload",
			}
			switch name {
			case "error with 200":
				kinds = []string{"CompleteMultipartUpload"}
			case "answer torn": // what has no body cannot be torn, S3 has said yes then
				kinds = []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutTail", "PutObject", "ListParts"}
			}
			for _, kind := range kinds {
				f.spoil(kind, 1, act)
			}
			want := random(1, 13*mib)
			key, w := create(t, s, want[:11*mib])
			st, err := w.Suspend(t.Context())
			if err != nil {
				t.Fatalf("Suspend: %v", err)
			}
			if w, err = s.Resume(t.Context(), key, st); err != nil {
				t.Fatalf("Resume: %v", err)
			}
			if _, err := w.Write(want[11*mib:]); err != nil {
				t.Fatalf("Write: %v", err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Fatalf("Commit: %v", err)
			}
			wantObject(t, s, key, want)

			small, w := create(t, s, want[:1000])
			if err := w.Commit(t.Context()); err != nil {
				t.Fatalf("Commit of a small object: %v", err)
			}
			wantObject(t, s, small, want[:1000])
			for _, k := range []storage.Key{key, small} {
				if err := s.Delete(t.Context(), k); err != nil {
					t.Fatalf("Delete: %v", err)
				}
			}
			f.heal()
			if diff := cmp.Diff([]string(nil), rest(t, o)); diff != "" {
				t.Errorf("left in the bucket (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOutageKeepsBytes loses the service in the middle of a stream and saves
// every byte that was taken when it is back.
func TestOutageKeepsBytes(t *testing.T) {
	t.Parallel()
	s, f, o := broken(t)
	want := random(2, 40*mib)
	key, w := create(t, s, want[:6*mib])
	f.spoil("UploadPart", -1, answer(http.StatusServiceUnavailable, "SlowDown"))
	n, err := w.Write(want[6*mib:])
	wantErr(t, "Write in an outage", err, storage.ErrUnavailable)
	at := 6*mib + n
	if w.Offset() != int64(at) {
		t.Fatalf("Offset = %d, want %d", w.Offset(), at)
	}
	_, err = w.Write(want[at:])
	wantErr(t, "second Write in an outage", err, storage.ErrUnavailable)
	lostKey, lost := create(t, s, want[:12*mib])
	_, err = lost.Suspend(t.Context())
	wantErr(t, "Suspend in an outage", err, storage.ErrUnavailable)
	f.heal()
	st, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatalf("Suspend after the outage: %v", err)
	}
	if w, err = s.Resume(t.Context(), key, st); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	if _, err := w.Write(want[at:]); err != nil {
		t.Fatalf("Write: %v", err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantObject(t, s, key, want)
	if err := s.Delete(t.Context(), lostKey); err != nil {
		t.Fatalf("Delete of what could not be saved: %v", err)
	}
	if diff := cmp.Diff([]string{o.Prefix + "/" + string(key)}, rest(t, o)); diff != "" {
		t.Errorf("left in the bucket (-want +got):\n%s", diff)
	}
	wantNoMemory(t, s)
}

// TestFailedCommit makes committing impossible and tries again from the state before.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, kind string
		act        act
		size       int
		want       error
	}{
		{"error in a 200", "CompleteMultipartUpload", answer(http.StatusOK, "InternalError"), 11 * mib, storage.ErrUnavailable},
		{"yes, but nothing stored, large", "CompleteMultipartUpload", pretend, 11 * mib, storage.ErrUnavailable},
		{"yes, but nothing stored, small", "PutObject", pretend, 1000, storage.ErrUnavailable},
		{"outage", "PutObject", answer(http.StatusServiceUnavailable, "ServiceUnavailable"), 1000, storage.ErrUnavailable},
		{"disk full, large", "UploadPart", answer(http.StatusInsufficientStorage, "InsufficientStorage"), 9 * mib, storage.ErrNoSpace},
		{"disk full, small", "PutObject", answer(http.StatusForbidden, "QuotaExceeded"), 1000, storage.ErrNoSpace},
		{"silence", "PutObject", hang, 1000, storage.ErrUnavailable},
		{"parts replaced", "CompleteMultipartUpload", answer(http.StatusBadRequest, "InvalidPart"), 11 * mib, storage.ErrState},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			f := newFaults(t, o.Endpoint)
			o.Endpoint, o.Attempts = f.URL, 2
			if tc.name == "silence" {
				o.Timeout = 2 * time.Second // long enough for every other request
			}
			s := open(t, o)
			want := random(3, tc.size)
			key, w := create(t, s, want[:tc.size/2])
			st, err := w.Suspend(t.Context())
			if err != nil {
				t.Fatalf("Suspend: %v", err)
			}
			f.spoil(tc.kind, -1, tc.act)
			if w, err = s.Resume(t.Context(), key, st); err != nil {
				t.Fatalf("Resume: %v", err)
			}
			// Parts upload beside the writing, so that it may hear of the failure too.
			if _, err := w.Write(want[tc.size/2:]); err != nil && !errors.Is(err, tc.want) {
				t.Fatalf("Write: %v", err)
			}
			wantErr(t, "Commit", w.Commit(t.Context()), tc.want)
			_, err = s.Stat(t.Context(), key)
			wantErr(t, "Stat", err, storage.ErrNotExist)

			f.heal()
			if w, err = s.Resume(t.Context(), key, st); err != nil {
				t.Fatalf("Resume after the failed Commit: %v", err)
			}
			if _, err := w.Write(want[tc.size/2:]); err != nil {
				t.Fatalf("Write: %v", err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Fatalf("second Commit: %v", err)
			}
			wantObject(t, s, key, want)
			if diff := cmp.Diff([]string{o.Prefix + "/" + string(key)}, rest(t, o)); diff != "" {
				t.Errorf("left in the bucket (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBrokenReads(t *testing.T) {
	t.Parallel()
	s, f, o := broken(t)
	want := random(4, 3*mib)
	key, w := create(t, s, want)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	for _, length := range []int64{-1, 2 * mib} {
		f.spoil("GetObject", 1, shorten)
		r, err := s.Open(t.Context(), key, 10, length)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		got, err := io.ReadAll(r)
		if err == nil {
			t.Fatalf("a body that was cut off was read without an error, %d bytes", len(got))
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("a body that was cut off: %v", err)
		}
		if !bytes.HasPrefix(want[10:], got) {
			t.Fatalf("wrong bytes before the cut")
		}
		if err := r.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}

	f.spoil("GetObject", -1, deafen)
	r, err := s.Open(t.Context(), key, 10, 20)
	if err == nil {
		err = errors.Join(errors.New("opened"), r.Close())
	}
	wantErr(t, "Open when ranges are ignored", err, storage.ErrUnavailable)
	f.heal()

	o.Timeout = time.Second
	impatient := open(t, o)
	f.spoil("GetObject", -1, hang)
	r, err = impatient.Open(t.Context(), key, 0, -1)
	if err == nil {
		err = errors.Join(errors.New("opened"), r.Close())
	}
	wantErr(t, "Open of a silent service", err, storage.ErrUnavailable)
}

// TestRetriesAreBounded counts the requests of one operation that cannot succeed.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	s, f, _ := broken(t)
	f.spoil("HeadObject", -1, answer(http.StatusServiceUnavailable, "SlowDown"))
	_, err := s.Stat(t.Context(), storage.NewKey())
	wantErr(t, "Stat", err, storage.ErrUnavailable)
	if got := f.count("HeadObject"); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	f.heal()
	f.spoil("DeleteObject", -1, answer(http.StatusForbidden, "AccessDenied"))
	err = s.Delete(t.Context(), storage.NewKey())
	if err == nil || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Delete without permission: %v", err)
	}
	if got := f.count("DeleteObject"); got != 1 {
		t.Errorf("%d requests that are not allowed, want 1", got)
	}
}

// TestRequests pins what an object of one part costs.
func TestRequests(t *testing.T) {
	t.Parallel()
	s, f, _ := broken(t)
	_, w := create(t, s, random(5, 5*mib))
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := []string{"HeadBucket", "PutObject", "HeadObject"}
	if diff := cmp.Diff(want, f.seen); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestReplacedPart resumes from a state whose part another stream has replaced.
func TestReplacedPart(t *testing.T) {
	t.Parallel()
	s := open(t, options(t))
	key, w := create(t, s, random(6, 6*mib))
	base, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatalf("Suspend: %v", err)
	}
	var states []storage.State
	for seed := range byte(2) {
		w, err := s.Resume(t.Context(), key, base)
		if err != nil {
			t.Fatalf("Resume: %v", err)
		}
		if _, err := w.Write(random(7+seed, 6*mib)); err != nil {
			t.Fatalf("Write: %v", err)
		}
		st, err := w.Suspend(t.Context())
		if err != nil {
			t.Fatalf("Suspend: %v", err)
		}
		states = append(states, st)
	}
	w, err = s.Resume(t.Context(), key, states[0])
	if err == nil {
		err = errors.Join(errors.New("resumed"), w.Abort(t.Context()))
	}
	wantErr(t, "Resume from a state that was overtaken", err, storage.ErrState)
	w, err = s.Resume(t.Context(), key, states[1])
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantObject(t, s, key, slices.Concat(random(6, 6*mib), random(8, 6*mib)))
}

// TestDeleteIsExact leaves the uploads of other keys alone.
func TestDeleteIsExact(t *testing.T) {
	t.Parallel()
	o := options(t)
	s, c := open(t, o), client(t, o)
	key := storage.NewKey()
	name := o.Prefix + "/" + string(key)
	for _, n := range []string{name, name, name + "0", "other/" + string(key)} {
		if _, err := c.NewMultipartUpload(t.Context(), o.Bucket, n, minio.PutObjectOptions{}); err != nil {
			t.Fatalf("begin %s: %v", n, err)
		}
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if diff := cmp.Diff([]string{"+" + name + "0", "+other/" + string(key)}, rest(t, o)); diff != "" {
		t.Errorf("left in the bucket (-want +got):\n%s", diff)
	}
}

// TestScarceMemory gives many streams memory for none of them: each still
// gets its one part, and none waits for another.
func TestScarceMemory(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Memory = 1
	s := open(t, o)
	keys := make([]storage.Key, 6)
	var wg sync.WaitGroup
	for i := range keys {
		keys[i] = storage.NewKey()
		wg.Go(func() {
			w, err := s.Create(t.Context(), keys[i])
			if err != nil {
				t.Errorf("Create: %v", err)
				return
			}
			if _, err := io.Copy(w, bytes.NewReader(random(byte(i), 12*mib))); err != nil {
				t.Errorf("copy: %v", err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
	}
	wg.Wait()
	for i, key := range keys {
		wantObject(t, s, key, random(byte(i), 12*mib))
	}
	wantNoMemory(t, s)
}

func TestPublicEndpoint(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.PublicEndpoint = "https://blobs.example.org:8443"
	s := open(t, o)
	got, err := s.RedirectURL(t.Context(), storage.NewKey(), storage.Redirect{Method: http.MethodGet, Expires: time.Hour})
	if err != nil {
		t.Fatalf("RedirectURL: %v", err)
	}
	if want := "https://blobs.example.org:8443/" + o.Bucket + "/a/b/objects/"; !strings.HasPrefix(got, want) {
		t.Errorf("URL is %s, want %s…", got, want)
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Attempts = 2

	wrong := o
	wrong.SecretAccessKey = "not-the-secret"
	_, err := s3.New(t.Context(), wrong)
	if err == nil || !strings.Contains(err.Error(), o.Bucket) || strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("New with a wrong secret: %v", err)
	}

	nobody := o
	nobody.Endpoint = "http://127.0.0.1:1"
	_, err = s3.New(t.Context(), nobody)
	wantErr(t, "New without a service", err, storage.ErrUnavailable)

	f := newFaults(t, o.Endpoint)
	f.spoil("other", -1, answer(http.StatusForbidden, "AccessDenied"))
	forbidden := o
	forbidden.Endpoint = f.URL
	forbidden.Bucket += "-missing"
	_, err = s3.New(t.Context(), forbidden)
	if err == nil || !strings.Contains(err.Error(), "does not exist and could not be created") {
		t.Errorf("New without the right to create a bucket: %v", err)
	}
}

// TestMissingBucket creates the bucket, and tells when it goes away later.
func TestMissingBucket(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Bucket += "-new"
	s := open(t, o)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := client(t, o).RemoveBucket(t.Context(), o.Bucket); err != nil {
		t.Fatalf("remove bucket: %v", err)
	}
	wantErr(t, "Ping without a bucket", s.Ping(t.Context()), storage.ErrUnavailable)
}

func BenchmarkSuite(b *testing.B) {
	storagetest.Bench(b, func(b *testing.B) storage.Store {
		o := options(b)
		o.PartSize = 0
		return open(b, o)
	})
}
