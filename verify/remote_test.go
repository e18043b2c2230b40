package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

var sealingKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// sealer signs reports with sealingKey.
type sealer struct{ broken error }

func (s sealer) Attest(ctx context.Context, subject registry.Manifest, r *verify.Report) (verify.Attested, error) {
	if s.broken != nil {
		return verify.Attested{}, s.broken
	}
	envelope, err := attestation.Seal(ctx, sealingKey, subject.MediaType, r)
	id := attestation.KeyID(sealingKey.Public().(ed25519.PublicKey))
	return verify.Attested{Envelope: envelope, KeyID: id, PredicateType: attestation.PredicateType}, err
}

// memoryHub is a hub's blobs and manifests in memory, or in a folder when one is set.
type memoryHub struct {
	folder    string
	blobs     map[registry.Digest][]byte
	manifests map[registry.Digest]registry.Manifest
	ranges    int   // how many ranges were opened
	broken    error // what opening a range fails with
	short     bool  // streams end early
}

func newHub() *memoryHub {
	return &memoryHub{blobs: map[registry.Digest][]byte{}, manifests: map[registry.Digest]registry.Manifest{}}
}

func (h *memoryHub) add(p []byte) registry.Digest {
	d := registry.DigestOf(registry.SHA256, p)
	h.blobs[d] = p
	return d
}

func (h *memoryHub) StatBlob(_ context.Context, g auth.Grant, d registry.Digest) (registry.Blob, error) {
	p, ok := h.blobs[d]
	if !ok || !g.Permits(auth.Pull) {
		return registry.Blob{}, registry.Errorf(registry.CodeBlobUnknown, "blob %s is unknown", d)
	}
	return registry.Blob{Digest: d, Key: storage.Key(d.Hex()), Size: int64(len(p))}, nil
}

func (h *memoryHub) Open(_ context.Context, b registry.Blob, off, n int64) (io.ReadCloser, error) {
	h.ranges++
	if h.broken != nil {
		return nil, h.broken
	}
	p := h.blobs[b.Digest][off:]
	if n >= 0 {
		p = p[:n]
	}
	if h.short {
		p = p[:len(p)/2]
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}

func (h *memoryHub) File(_ context.Context, b registry.Blob) (*os.File, error) {
	if h.folder == "" {
		return nil, errors.ErrUnsupported
	}
	name := filepath.Join(h.folder, b.Digest.Hex())
	if err := os.WriteFile(name, h.blobs[b.Digest], 0o600); err != nil {
		return nil, err
	}
	return os.Open(name)
}

func (h *memoryHub) Manifest(_ context.Context, _ auth.Grant, ref registry.Reference) (registry.Manifest, error) {
	m, ok := h.manifests[ref.Digest]
	if !ok {
		return m, registry.Errorf(registry.CodeManifestUnknown, "manifest %s is unknown", ref)
	}
	return m, nil
}

func (h *memoryHub) PutBlob(_ context.Context, g auth.Grant, d registry.Digest, size int64, body io.Reader) (registry.Blob, error) {
	p, err := io.ReadAll(body)
	if err != nil {
		return registry.Blob{}, err
	}
	if got := h.add(p); got != d || size != int64(len(p)) || !g.Permits(auth.Push) {
		return registry.Blob{}, errors.New("wrong digest, size or grant")
	}
	return registry.Blob{Digest: d, Size: size}, nil
}

func (h *memoryHub) PutManifest(_ context.Context, g auth.Grant, p registry.ManifestPut) (registry.PutResult, error) {
	m, _, err := registry.ParseManifest(p.Body, p.MediaType, registry.SHA256)
	if err != nil {
		return registry.PutResult{}, err
	}
	if m.Digest != p.Reference.Digest || !g.Permits(auth.Push) {
		return registry.PutResult{}, errors.New("wrong digest or grant")
	}
	h.manifests[m.Digest] = m
	return registry.PutResult{Digest: m.Digest, Subject: m.Subject}, nil
}

func version(h *memoryHub, files map[string][]byte) registry.Version {
	v := registry.Version{Name: "org/m", Digest: registry.DigestOf(registry.SHA256, []byte("manifest")), Kind: registry.KindModelPack}
	for name, p := range files {
		v.Files = append(v.Files, registry.File{Path: name, Digest: h.add(p), Size: int64(len(p))})
	}
	return v
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p) // never fails
	return p
}

func TestForInspectionReadsRanges(t *testing.T) {
	t.Parallel()
	h := newHub()
	big := randomBytes(10 << 20)
	v := version(h, map[string][]byte{"model.gguf": big, "README.md": []byte("# T")})
	files, err := verify.Source{Blobs: h}.ForInspection(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	f := files.Lookup("model.gguf")
	if f.OS() != nil || f.Size != int64(len(big)) {
		t.Fatalf("file %+v", f)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off, n := r.Int64N(int64(len(big))), 1+r.Int64N(1<<20)
		p := make([]byte, n)
		got, err := f.ReadAt(p, off)
		want := big[off:min(off+n, int64(len(big)))]
		if !bytes.Equal(p[:got], want) || errors.Is(err, io.EOF) != (int64(len(want)) < n) {
			t.Fatalf("read %d at %d: got %d bytes, %v", n, off, got, err)
		}
	}
	h.ranges = 0
	for off := range int64(1000) {
		if _, err := f.ReadAt(make([]byte, 8), off); err != nil {
			t.Fatal(err)
		}
	}
	if h.ranges > 1 {
		t.Errorf("1000 small reads opened %d ranges", h.ranges)
	}
	if err := files.Fault(); err != nil {
		t.Errorf("fault %v", err)
	}
}

func TestFaultIsNoContent(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*memoryHub){
		"lost connection": func(h *memoryHub) { h.broken = storage.ErrUnavailable },
		"short object":    func(h *memoryHub) { h.short = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub()
			v := version(h, map[string][]byte{"a": []byte("0123456789")})
			files, err := verify.Source{Blobs: h}.ForInspection(t.Context(), v)
			if err != nil {
				t.Fatal(err)
			}
			damage(h)
			if _, err := files[0].ReadAt(make([]byte, 4), 0); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("error %v must not look like the end of the file", err)
			}
			if files.Fault() == nil {
				t.Error("no fault was noted")
			}
		})
	}
}

func TestForVerificationGivesFiles(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"folder": true, "cache": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub()
			if local {
				h.folder = t.TempDir()
			}
			v := version(h, map[string][]byte{"a": []byte("same"), "b": []byte("same"), "c": []byte("other")})
			folder := t.TempDir()
			s := verify.Source{Blobs: h, Cache: openCache(t, folder, 100)}
			files, release, err := s.ForVerification(t.Context(), v)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if f.OS() == nil {
					t.Fatalf("%s is no file of this machine", f.Path)
				}
				p, err := io.ReadAll(f.OS())
				if err != nil || registry.DigestOf(registry.SHA256, p) != f.Digest {
					t.Errorf("%s holds %q, %v", f.Path, p, err)
				}
			}
			release()
			if got := len(entries(t, folder)); got != map[bool]int{true: 0, false: 2}[local] {
				t.Errorf("the cache holds %d files", got)
			}
		})
	}
}

func TestForVerificationTooLarge(t *testing.T) {
	t.Parallel()
	h := newHub()
	v := version(h, map[string][]byte{"a": []byte("0123456789")})
	s := verify.Source{Blobs: h, Cache: openCache(t, t.TempDir(), 5)}
	if _, _, err := s.ForVerification(t.Context(), v); !errors.Is(err, verify.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHub()
	subject := registry.Manifest{Digest: registry.DigestOf(registry.SHA256, []byte("{...}")), MediaType: registry.MediaTypeOCIManifest, Body: []byte("{...}")}
	h.manifests[subject.Digest] = subject
	r := &verify.Report{
		Version: 1, CheckSet: 1, Subject: &subject.Digest, State: verify.StatePassed, Summary: "passed",
		Results: []verify.Result{{ID: "structure.headers", Outcome: verify.OutcomePassed}}, Files: []verify.VerifiedFile{},
		FinishedAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	p, err := verify.Publish(t.Context(), h, sealer{}, "org/m", subject.Digest, r)
	if err != nil {
		t.Fatal(err)
	}
	m := h.manifests[p.Referrer]
	if m.Subject != subject.Digest || m.ArtifactType != registry.ArtifactVerification {
		t.Errorf("subject %s, artifact type %s", m.Subject, m.ArtifactType)
	}
	var doc ocispec.Manifest
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"org.opencontainers.image.created": "2030-01-02T03:04:05Z", "vnd.carat.verification.state": "passed", "vnd.carat.verification.check-set": "1",
		"vnd.carat.verification.key-id": p.KeyID,
	}, doc.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	layer := doc.Layers[0]
	if diff := cmp.Diff(map[string]string{
		"org.opencontainers.image.title": "verification.dsse.json", "predicateType": attestation.PredicateType,
	}, layer.Annotations); diff != "" || layer.MediaType != "application/vnd.dsse.envelope.v1+json" {
		t.Errorf("layer of type %s, annotations (-want +got):\n%s", layer.MediaType, diff)
	}
	key := attestation.NewKey(sealingKey.Public().(ed25519.PublicKey))
	a, err := attestation.Open(t.Context(), h.blobs[registry.MustParseDigest(layer.Digest.String())], []attestation.Key{key})
	if err != nil || a.Key.ID != p.KeyID {
		t.Fatalf("open: %v; signed by %s", err, p.KeyID)
	}
	if diff := cmp.Diff(r, a.Report, cmp.Comparer(func(a, b registry.Digest) bool { return a == b })); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if string(h.blobs[registry.MustParseDigest(doc.Config.Digest.String())]) != "{}" || doc.Config.MediaType != registry.MediaTypeOCIEmpty {
		t.Error("the config is not the empty one")
	}
	gone := registry.DigestOf(registry.SHA256, []byte("gone"))
	if _, err := verify.Publish(t.Context(), h, sealer{}, "org/m", gone, r); !registry.IsCode(err, registry.CodeManifestUnknown) {
		t.Errorf("gone version: %v", err)
	}
}
