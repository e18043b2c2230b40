package registry

import (
	"context"
	"encoding/json"
	"math"
	"mime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/provenance/strictjson"
)

// ManifestPut is a manifest as a client sends it.
type ManifestPut struct {
	Reference Reference
	MediaType string // the Content-Type, may be empty
	Body      []byte
	Tags      []Tag // further tags, from ?tag=
}

// PutResult is what a manifest PUT made.
type PutResult struct {
	Digest  Digest
	Subject Digest // zero when the manifest has none
	Tags    []Tag  // all tags that point at it now because of this call
}

// PutManifest checks a manifest and commits it with its tags, its model
// record and the jobs that follow. Errors: CodeManifestInvalid,
// CodeManifestTooLarge, CodeManifestBlobUnknown, CodeDigestInvalid; CodeDenied
// with a *PolicyError when a policy forbids it.
func (r *Registry) PutManifest(ctx context.Context, g auth.Grant, p ManifestPut) (PutResult, error) {
	n, err := granted(g, auth.Push)
	if err != nil {
		return PutResult{}, err
	}
	algorithm, tags := SHA256, slices.Clone(p.Tags)
	if p.Reference.Tag != "" {
		tags = append(tags, p.Reference.Tag)
	} else {
		algorithm = p.Reference.Digest.Algorithm()
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)

	m, doc, err := ParseManifest(p.Body, p.MediaType, algorithm)
	if err != nil {
		return PutResult{}, err
	}
	if want := p.Reference.Digest; !want.IsZero() && m.Digest != want {
		return PutResult{}, mismatch(m.Digest)
	}
	m.CreatedAt = r.now()
	w := ManifestWrite{
		Name: n, Visibility: r.visibility, Manifest: m, Annotations: doc.Annotations,
		Blobs: doc.blobs(), Manifests: doc.children(), Tags: tags,
	}
	if _, _, ok := n.Split(); ok {
		w.Version = recogniseVersion(n, m, doc)
	}
	if w.Version != nil {
		if err := r.passPush(ctx, g, n, m.Digest); err != nil {
			return PutResult{}, err
		}
		w.Version.PushedBy = g.Principal().Name
	}
	if err := r.store.PutManifest(ctx, w); err != nil {
		return PutResult{}, err
	}
	return PutResult{Digest: m.Digest, Subject: m.Subject, Tags: tags}, nil
}

// Manifest returns a manifest by tag or digest. Errors: CodeManifestUnknown;
// CodeDenied with a *GateError when the organization's gate refuses it.
func (r *Registry) Manifest(ctx context.Context, g auth.Grant, ref Reference) (Manifest, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return Manifest{}, err
	}
	m, err := r.store.Manifest(ctx, n, ref)
	if err != nil {
		return Manifest{}, err
	}
	return r.admit(ctx, g, n, m)
}

// Decide returns the grant to pull from a repository, of which it is told who
// may and whether it exists, or the error to answer with.
type Decide func(v auth.Visibility, exists bool) (auth.Grant, error)

// ManifestBy is Manifest for who has no grant yet, with no query more for what
// everybody may pull, and for who may pull in any case. Whether a repository is
// there that is not for them, nobody can tell from how long it takes. Errors:
// those of decide, which come first, and of Manifest.
func (r *Registry) ManifestBy(ctx context.Context, n Name, ref Reference, decide Decide) (Manifest, error) {
	if g, err := decide(auth.Private, true); err == nil {
		return r.Manifest(ctx, g, ref)
	}
	m, err := r.store.PublicManifest(ctx, n, ref)
	switch {
	case err == nil:
		g, err := decide(auth.Public, true)
		if err != nil {
			return Manifest{}, err
		}
		if n, err = granted(g, auth.Pull); err != nil {
			return Manifest{}, err
		}
		return r.admit(ctx, g, n, m)
	case !IsCode(err, CodeManifestUnknown):
		return Manifest{}, err
	}
	v, exists, err := r.Visibility(ctx, n)
	if err != nil {
		return Manifest{}, err
	}
	g, err := decide(v, exists)
	if err != nil {
		return Manifest{}, err
	}
	return r.Manifest(ctx, g, ref)
}

// admit lets a manifest through that terms, policies and gates do not hold back.
func (r *Registry) admit(ctx context.Context, g auth.Grant, n Name, m Manifest) (_ Manifest, err error) {
	if err := r.passTerms(ctx, g, n, func(context.Context) ([]Digest, error) { return []Digest{m.Digest}, nil }); err != nil {
		return Manifest{}, err
	}
	if m.Warning, err = r.passManifest(ctx, g, n, m); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// DeleteManifest deletes a manifest with the tags on it. Errors:
// CodeManifestUnknown; CodeDenied while an index refers to it.
func (r *Registry) DeleteManifest(ctx context.Context, g auth.Grant, d Digest) error {
	n, err := granted(g, auth.Delete)
	if err != nil {
		return err
	}
	return r.store.DeleteManifest(ctx, n, d)
}

// Document is the content of an image manifest or an index.
type Document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// ParseManifest checks the bytes of a manifest. MediaType is what the
// transport says it is, "" when it says nothing. Errors: CodeManifestInvalid,
// CodeManifestTooLarge.
func ParseManifest(body []byte, mediaType string, a Algorithm) (Manifest, *Document, error) {
	if len(body) > MaxManifestSize {
		return Manifest{}, nil, Errorf(CodeManifestTooLarge, "the manifest has %d bytes; at most %d are allowed", len(body), MaxManifestSize)
	}
	if err := manifestForm.Check(body); err != nil {
		return Manifest{}, nil, Errorf(CodeManifestInvalid, "the manifest is refused: %w", err)
	}
	doc := new(Document)
	if err := json.Unmarshal(body, doc); err != nil {
		return Manifest{}, nil, Wrap(err, CodeManifestInvalid, "the manifest has a field of the wrong type")
	}
	mediaType, err := doc.mediaType(mediaType)
	if err != nil {
		return Manifest{}, nil, err
	}
	if err := doc.check(mediaType); err != nil {
		return Manifest{}, nil, err
	}
	m := Manifest{
		Digest: DigestOf(a, body), MediaType: mediaType,
		ArtifactType: doc.ArtifactType, Body: body,
	}
	if m.ArtifactType == "" && doc.Config != nil {
		m.ArtifactType = doc.Config.MediaType
	}
	if doc.Subject != nil {
		m.Subject = MustParseDigest(doc.Subject.Digest.String())
	}
	return m, doc, nil
}

// mediaType settles what kind of manifest this is: the document's own word
// and the transport's must agree, and one of them must be there.
func (doc *Document) mediaType(transport string) (string, error) {
	if transport != "" {
		t, _, err := mime.ParseMediaType(transport)
		if err != nil {
			return "", Errorf(CodeManifestInvalid, "Content-Type %q is malformed", clip(transport))
		}
		transport = t
	}
	if transport != "" && doc.MediaType != "" && transport != doc.MediaType {
		return "", Errorf(CodeManifestInvalid, "Content-Type is %q but the manifest's mediaType is %q", clip(transport), clip(doc.MediaType))
	}
	t := doc.MediaType
	if t == "" {
		t = transport
	}
	switch t {
	case MediaTypeOCIManifest, MediaTypeOCIIndex, MediaTypeDockerManifest, MediaTypeDockerList:
		return t, nil
	case "":
		return "", Errorf(CodeManifestInvalid, "neither Content-Type nor mediaType says what the manifest is")
	}
	return "", Errorf(CodeManifestInvalid, "manifests of media type %q are not supported", clip(t))
}

// check refuses what is malformed or could be read in two ways.
func (doc *Document) check(mediaType string) error {
	if doc.SchemaVersion != 2 {
		return Errorf(CodeManifestInvalid, "schemaVersion is %d, must be 2", doc.SchemaVersion)
	}
	index := mediaType == MediaTypeOCIIndex || mediaType == MediaTypeDockerList
	switch {
	case index && (doc.Config != nil || doc.Layers != nil):
		return Errorf(CodeManifestInvalid, "an index has no config and no layers")
	case index && doc.Manifests == nil:
		return Errorf(CodeManifestInvalid, "an index needs manifests")
	case !index && doc.Manifests != nil:
		return Errorf(CodeManifestInvalid, "an image manifest has no manifests")
	case !index && doc.Config == nil:
		return Errorf(CodeManifestInvalid, "an image manifest needs a config")
	}
	if n := len(doc.Layers) + len(doc.Manifests); n > maxDescriptors {
		return Errorf(CodeManifestInvalid, "the manifest has %d descriptors; at most %d are allowed", n, maxDescriptors)
	}
	var total int64
	for _, d := range doc.descriptors() {
		if err := checkDescriptor(d); err != nil {
			return err
		}
		if d.Size > math.MaxInt64-total {
			return Errorf(CodeManifestInvalid, "the sizes of the descriptors add up to more than a 64-bit number holds")
		}
		total += d.Size
	}
	return nil
}

func (doc *Document) descriptors() []ocispec.Descriptor {
	all := slices.Concat(doc.Layers, doc.Manifests)
	if doc.Config != nil {
		all = append(all, *doc.Config)
	}
	if doc.Subject != nil {
		all = append(all, *doc.Subject)
	}
	return all
}

func checkDescriptor(d ocispec.Descriptor) error {
	digest, err := ParseDigest(d.Digest.String())
	switch {
	case err != nil:
		return Errorf(CodeManifestInvalid, "a descriptor's digest %q is not valid", clip(d.Digest.String()))
	case d.Size < 0:
		return Errorf(CodeManifestInvalid, "descriptor %s has the negative size %d", digest, d.Size)
	case d.MediaType == "":
		return Errorf(CodeManifestInvalid, "descriptor %s has no mediaType", digest)
	case len(d.Data) > 0 && (int64(len(d.Data)) != d.Size || DigestOf(digest.Algorithm(), d.Data) != digest):
		return Errorf(CodeManifestInvalid, "descriptor %s embeds data of another digest or size", digest)
	}
	return nil
}

// blobs returns the digests that must be in the repository. Layers that the
// specification lets a registry do without are left out.
func (doc *Document) blobs() []Digest {
	var all []Digest
	if doc.Config != nil {
		all = append(all, MustParseDigest(doc.Config.Digest.String()))
	}
	for _, l := range doc.Layers {
		if !nonDistributable(l.MediaType) {
			all = append(all, MustParseDigest(l.Digest.String()))
		}
	}
	return unique(all)
}

func (doc *Document) children() []Digest {
	var all []Digest
	for _, m := range doc.Manifests {
		all = append(all, MustParseDigest(m.Digest.String()))
	}
	return unique(all)
}

func unique(ds []Digest) []Digest {
	slices.SortFunc(ds, func(a, b Digest) int { return strings.Compare(a.s, b.s) })
	return slices.Compact(ds)
}

func nonDistributable(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.")
}

// manifestForm is what manifests look like. Annotations may have any key, and
// platforms some that are not looked at.
var manifestForm = strictjson.Form{
	Depth: 32,
	Names: []string{
		"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject",
		"annotations", "digest", "size", "urls", "data", "platform",
	},
	Free: []string{"annotations", "platform"},
}
