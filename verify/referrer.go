package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Annotations of a report's manifest, beside its time of creation.
const (
	AnnotationState    = "vnd.carat.verification.state"
	AnnotationCheckSet = "vnd.carat.verification.check-set"
	AnnotationKeyID    = "vnd.carat.verification.key-id"
)

// Attester signs final reports.
type Attester interface {
	// Attest returns the report as a signed statement about the version whose
	// manifest is the subject. The same report gives the same bytes as long as
	// the key stays.
	Attest(ctx context.Context, subject registry.Manifest, r *Report) (Attested, error)
}

// Attested is a signed report.
type Attested struct {
	Envelope      []byte // DSSE, as JSON
	PredicateType string
	KeyID         string // of the key that signed
}

// Publication says where a signed report was pushed; zero when it was not.
type Publication struct {
	Referrer registry.Digest // manifest of the report
	KeyID    string          // of the key that signed it
}

// Referrer is a report packed as an OCI artifact whose subject is the version
// that it is about.
type Referrer struct {
	Digest   registry.Digest // of the manifest
	Manifest []byte
	Blobs    map[registry.Digest][]byte // everything that the manifest refers to
}

// ReportFile is the name of a signed report among the files of a referrer.
const ReportFile = "verification.dsse.json"

// BuildReferrer packs a signed report: an image manifest with our artifact
// type, the empty config, the envelope as its one layer, and the subject
// given. Its annotations repeat what the report says and prove nothing.
func BuildReferrer(subject registry.Manifest, r *Report, a Attested) (Referrer, error) {
	return pack(subject, registry.ArtifactVerification, ReportFile, a, map[string]string{
		registry.AnnotationCreated: r.FinishedAt.UTC().Format(time.RFC3339),
		AnnotationState:            string(r.State),
		AnnotationCheckSet:         strconv.Itoa(r.CheckSet),
		AnnotationKeyID:            a.KeyID,
	})
}

// pack makes an OCI artifact of an envelope.
func pack(subject registry.Manifest, artifactType, title string, a Attested, annotations map[string]string) (Referrer, error) {
	empty := []byte("{}")
	layer := describe(registry.MediaTypeDSSE, a.Envelope)
	layer.Annotations = map[string]string{
		registry.AnnotationTitle: title, registry.AnnotationPredicateType: a.PredicateType,
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    registry.MediaTypeOCIManifest,
		ArtifactType: artifactType,
		Config:       describe(registry.MediaTypeOCIEmpty, empty),
		Layers:       []ocispec.Descriptor{layer},
		Subject: &ocispec.Descriptor{
			MediaType: subject.MediaType, Digest: digest.Digest(subject.Digest.String()), Size: int64(len(subject.Body)),
		},
		Annotations: annotations,
	})
	if err != nil {
		return Referrer{}, fmt.Errorf("encode the manifest of %s: %w", title, err)
	}
	return Referrer{
		Digest: registry.DigestOf(registry.SHA256, manifest), Manifest: manifest,
		Blobs: map[registry.Digest][]byte{
			registry.DigestOf(registry.SHA256, a.Envelope): a.Envelope,
			registry.DigestOf(registry.SHA256, empty):      empty,
		},
	}, nil
}

func describe(mediaType string, p []byte) ocispec.Descriptor {
	d := registry.DigestOf(registry.SHA256, p)
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(d.String()), Size: int64(len(p))}
}

// Publisher is where reports are pushed; *registry.Registry is one.
type Publisher interface {
	Manifest(ctx context.Context, g auth.Grant, ref registry.Reference) (registry.Manifest, error)
	PutBlob(ctx context.Context, g auth.Grant, d registry.Digest, size int64, body io.Reader) (registry.Blob, error)
	PutManifest(ctx context.Context, g auth.Grant, p registry.ManifestPut) (registry.PutResult, error)
}

// Publish signs a report and pushes it as a referrer of the version.
// Errors: registry.CodeManifestUnknown when the version is gone.
func Publish(ctx context.Context, p Publisher, by Attester, n registry.Name, version registry.Digest, r *Report) (Publication, error) {
	g := auth.System(string(n), auth.Push)
	subject, err := p.Manifest(ctx, g, registry.Reference{Digest: version})
	if err != nil {
		return Publication{}, fmt.Errorf("find the report's subject: %w", err)
	}
	signed, err := by.Attest(ctx, subject, r)
	if err != nil {
		return Publication{}, fmt.Errorf("sign the report: %w", err)
	}
	ref, err := BuildReferrer(subject, r, signed)
	if err != nil {
		return Publication{}, err
	}
	if err := ref.push(ctx, p, g); err != nil {
		return Publication{}, err
	}
	return Publication{Referrer: ref.Digest, KeyID: signed.KeyID}, nil
}

// push pushes the blobs, and then the manifest.
func (r Referrer) push(ctx context.Context, p Publisher, g auth.Grant) error {
	for d, body := range r.Blobs {
		if _, err := p.PutBlob(ctx, g, d, int64(len(body)), bytes.NewReader(body)); err != nil {
			return fmt.Errorf("push the report: %w", err)
		}
	}
	_, err := p.PutManifest(ctx, g, registry.ManifestPut{
		Reference: registry.Reference{Digest: r.Digest}, MediaType: registry.MediaTypeOCIManifest, Body: r.Manifest,
	})
	if err != nil {
		return fmt.Errorf("push the report's manifest: %w", err)
	}
	return nil
}
