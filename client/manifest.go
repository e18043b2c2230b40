package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/carat-hub/carat/registry"
)

// Limits of a manifest that is read. Registries need not take more than 4 MiB.
const (
	maxManifest = 4 << 20
	maxLayers   = 4096
	maxConfig   = 4 << 20
)

// ErrIndex is returned for a reference to an index of several manifests.
var ErrIndex = errors.New("the reference is an index of several manifests, not a model")

// ErrDigest is returned when bytes are not those that their digest names.
var ErrDigest = errors.New("the bytes do not have the digest they should have")

// Artifact is a manifest as a registry has it.
type Artifact struct {
	Ref          Reference // as asked for
	Digest       registry.Digest
	MediaType    string
	ArtifactType string // artifactType, or the config's media type when there is none
	Config       Descriptor
	Layers       []Descriptor
	Body         []byte // exactly as served; Digest is its digest
}

// Artifact fetches the manifest that ref names, checks it against its digest
// and takes it apart.
// Errors: ErrIndex, ErrDigest, ErrForeignCredentials, ErrDowngrade, *ResponseError.
func (c *Client) Artifact(ctx context.Context, ref Reference) (*Artifact, error) {
	r := c.remote(ref.Host)
	a, err := r.artifact(r.scoped(ctx, ref.Name, "pull"), ref)
	if err != nil {
		return nil, fmt.Errorf("fetch manifest of %s: %w", ref, err)
	}
	return a, nil
}

func (r *remote) artifact(ctx context.Context, ref Reference) (*Artifact, error) {
	var body []byte
	var resp *http.Response
	for n := 1; ; n++ {
		var err error
		resp, err = r.send(ctx, request{
			method: http.MethodGet, url: r.url(ref.Name, "manifests", ref.Target().String()),
			header: http.Header{"Accept": {strings.Join([]string{
				registry.MediaTypeOCIManifest, registry.MediaTypeDockerManifest, registry.MediaTypeOCIIndex, registry.MediaTypeDockerList,
			}, ", ")}},
		}, http.StatusOK)
		if err == nil {
			body, err = readLimited(resp.Body, maxManifest)
			_ = resp.Body.Close() // the body has been read or is given up
		}
		if err == nil {
			break
		}
		if err := r.backoff(ctx, nil, n, err); err != nil {
			return nil, err
		}
	}
	want := ref.Digest
	if said := resp.Header.Get("Docker-Content-Digest"); want.IsZero() && said != "" {
		d, err := registry.ParseDigest(said)
		if err != nil {
			return nil, fmt.Errorf("the registry names the manifest %q, which is no digest", printable(said))
		}
		want = d
	}
	if want.IsZero() {
		want = registry.DigestOf(registry.SHA256, body)
	}
	if got := registry.DigestOf(want.Algorithm(), body); got != want {
		return nil, fmt.Errorf("%w: the manifest is %s, not %s", ErrDigest, got, want)
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	a, err := parseManifest(body, mediaType)
	if err != nil {
		return nil, err
	}
	a.Ref, a.Digest = ref, want
	return a, nil
}

// parseManifest reads a manifest that came under a media type, "" when the
// answer had none of use.
func parseManifest(body []byte, served string) (*Artifact, error) {
	var m struct {
		ociManifest
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	switch served {
	case registry.MediaTypeOCIManifest, registry.MediaTypeDockerManifest, registry.MediaTypeOCIIndex, registry.MediaTypeDockerList:
		if m.MediaType != "" && m.MediaType != served {
			return nil, fmt.Errorf("the manifest was served as %s but says it is %q", served, printable(m.MediaType))
		}
		m.MediaType = served
	}
	switch m.MediaType {
	case registry.MediaTypeOCIIndex, registry.MediaTypeDockerList:
		return nil, fmt.Errorf("%w; it lists %d: pull one of them by its digest", ErrIndex, len(m.Manifests))
	case registry.MediaTypeOCIManifest, registry.MediaTypeDockerManifest:
	default:
		return nil, fmt.Errorf("manifests of type %q are not supported", printable(m.MediaType))
	}
	switch {
	case m.SchemaVersion != 2:
		return nil, fmt.Errorf("the manifest has schema version %d, not 2", m.SchemaVersion)
	case len(m.Manifests) > 0:
		return nil, errors.New("the manifest has layers and manifests at once")
	case len(m.Layers) > maxLayers:
		return nil, fmt.Errorf("the manifest has %d layers; at most %d are supported", len(m.Layers), maxLayers)
	}
	for i, d := range append([]Descriptor{m.Config}, m.Layers...) {
		if d.Digest.IsZero() || d.Size < 0 {
			return nil, fmt.Errorf("descriptor %d of the manifest has no digest or an impossible size", i)
		}
	}
	a := &Artifact{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Config: m.Config, Layers: m.Layers, Body: body}
	if a.ArtifactType == "" {
		a.ArtifactType = m.Config.MediaType
	}
	return a, nil
}

// Size returns the bytes of all layers; it saturates instead of wrapping.
func (a *Artifact) Size() int64 {
	var n int64
	for _, l := range a.Layers {
		if n+l.Size < n {
			return 1<<63 - 1
		}
		n += l.Size
	}
	return n
}

// Files returns the layers as files under checked, distinct paths, named as a
// hub names them. It fails when a layer has no name, one that cannot be
// written on every system, or bytes that are not those of its file.
func (a *Artifact) Files() ([]registry.File, error) {
	if len(a.Layers) == 0 {
		return nil, fmt.Errorf("the artifact (%s) has no files", printable(a.ArtifactType))
	}
	layers := a.layers()
	for i, l := range layers {
		if p := registry.Packing(l); p != "" {
			return nil, fmt.Errorf("layer %d of the artifact (%s) is %s (%s); only layers that are the files themselves can be pulled",
				i, printable(a.ArtifactType), p, printable(l.MediaType))
		}
	}
	files, err := registry.LayerFiles(layers)
	if err != nil {
		return nil, fmt.Errorf("the artifact (%s) is no set of named files: %w", printable(a.ArtifactType), err)
	}
	paths := newPathSet()
	for _, f := range files {
		if err := paths.add(f.Path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Listing returns the files of the layers for display: those that have no
// usable name are called after their digest, packed ones are marked.
func (a *Artifact) Listing() []registry.File {
	files, _ := registry.LayerFiles(a.layers()) // what is wrong with a name matters when it is written
	return files
}

func (a *Artifact) layers() []registry.Layer {
	list := make([]registry.Layer, len(a.Layers))
	for i, l := range a.Layers {
		list[i] = registry.Layer{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size, Annotations: l.Annotations}
	}
	return list
}

// Blob reads a small blob of the artifact whole, at most limit bytes.
// Errors: ErrDigest, *ResponseError.
func (c *Client) Blob(ctx context.Context, a *Artifact, d Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes; at most %d are read", d.Digest, d.Size, limit)
	}
	r := c.remote(a.Ref.Host)
	ctx = r.scoped(ctx, a.Ref.Name, "pull")
	for n := 1; ; n++ {
		body, err := r.blob(ctx, a.Ref.Name, d)
		if err == nil {
			return body, nil
		}
		if err := r.backoff(ctx, nil, n, err); err != nil {
			return nil, fmt.Errorf("fetch blob: %w", err)
		}
	}
}

func (r *remote) blob(ctx context.Context, n registry.Name, d Descriptor) ([]byte, error) {
	resp, err := r.send(ctx, request{method: http.MethodGet, url: r.url(n, "blobs", d.Digest.String())}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readLimited(resp.Body, d.Size)
	if err != nil {
		return nil, err
	}
	if got := registry.DigestOf(d.Digest.Algorithm(), body); got != d.Digest {
		return nil, fmt.Errorf("%w: blob %s came as %s", ErrDigest, d.Digest, got)
	}
	return body, nil
}

// readLimited reads all of r, or fails when that is more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	p, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(p)) > limit {
		return nil, fmt.Errorf("the answer has more than the %d bytes that are allowed", limit)
	}
	return p, nil
}
