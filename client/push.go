package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/carat-hub/carat/registry"
)

// PushResult says what a push did.
type PushResult struct {
	Ref    Reference // with the digest of the manifest
	Digest registry.Digest
	Blobs  []PushedBlob // each digest once, in the order of the layers, the config last
}

// PushedBlob is one blob of a push.
type PushedBlob struct {
	Path     string // of the first file that has these bytes; "config" for the config
	Digest   registry.Digest
	Size     int64
	Uploaded bool // false: the registry had it already
}

// Push uploads the blobs of p that the repository lacks, several at once, and
// then the manifest under the tag of ref. A manifest is never there before
// all of its blobs are. Pushing the same again uploads nothing.
// Errors: ErrChanged, ErrForeignCredentials, ErrDowngrade, *ResponseError.
func (c *Client) Push(ctx context.Context, p *Package, ref Reference) (*PushResult, error) {
	if ref.Tag == "" || !ref.Digest.IsZero() {
		return nil, fmt.Errorf("push %s: a push needs a tag and no digest", ref)
	}
	r := c.remote(ref.Host)
	ctx = r.scoped(ctx, ref.Name, "pull", "push")

	result := &PushResult{Ref: ref, Digest: p.Digest}
	result.Ref.Digest = p.Digest
	var files []int // index of the layer for each blob, -1 for the config
	seen := make(map[registry.Digest]bool)
	for i, l := range p.Layers {
		if !seen[l.Digest] {
			seen[l.Digest] = true
			files = append(files, i)
			result.Blobs = append(result.Blobs, PushedBlob{Path: p.source.Files[i].Path, Digest: l.Digest, Size: l.Size})
		}
	}
	if !seen[p.config.Digest] {
		files = append(files, -1)
		result.Blobs = append(result.Blobs, PushedBlob{Path: "config", Digest: p.config.Digest, Size: p.config.Size})
	}

	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for n, i := range files {
		g.Go(func() (err error) {
			b := &result.Blobs[n]
			if i < 0 {
				b.Uploaded, err = c.pushConfig(gctx, r, ref, p)
			} else {
				b.Uploaded, err = c.pushFile(gctx, r, ref, p, i)
			}
			if err != nil {
				return fmt.Errorf("push %s: %w", b.Path, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := c.pushManifest(ctx, r, ref, p); err != nil {
		return nil, fmt.Errorf("push manifest: %w", err)
	}
	return result, nil
}

func (c *Client) pushFile(ctx context.Context, r *remote, ref Reference, p *Package, i int) (bool, error) {
	f := &p.source.Files[i]
	file, err := p.source.Open(f.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	t := c.track(Event{Action: Uploading, Path: f.Path, Size: f.Size})
	uploaded, err := r.pushBlob(ctx, ref.Name, p.Layers[i], file, func() error { return f.unchanged(file) }, t)
	return uploaded, t.uploaded(uploaded, err)
}

func (c *Client) pushConfig(ctx context.Context, r *remote, ref Reference, p *Package) (bool, error) {
	t := c.track(Event{Action: Uploading, Path: "config", Size: p.config.Size})
	uploaded, err := r.pushBlob(ctx, ref.Name, p.config, bytes.NewReader(p.Config), func() error { return nil }, t)
	return uploaded, t.uploaded(uploaded, err)
}

// uploaded reports the end of a blob's push and passes err on.
func (t *transfer) uploaded(uploaded bool, err error) error {
	switch {
	case err != nil:
	case uploaded:
		t.end(Uploaded)
	default:
		t.end(Exists)
	}
	return err
}

func (c *Client) pushManifest(ctx context.Context, r *remote, ref Reference, p *Package) error {
	t := c.track(Event{Action: Uploading, Path: "manifest", Size: int64(len(p.Manifest))})
	resp, err := r.try(ctx, t, request{
		method: http.MethodPut, url: r.url(ref.Name, "manifests", string(ref.Tag)), size: int64(len(p.Manifest)),
		body:   bytesBody(p.Manifest),
		header: http.Header{"Content-Type": {registry.MediaTypeOCIManifest}},
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	drain(resp)
	if got := resp.Header.Get("Docker-Content-Digest"); strings.HasPrefix(got, "sha256:") && got != p.Digest.String() {
		return fmt.Errorf("the registry stored it under the digest %s instead of %s", printable(got), p.Digest)
	}
	t.end(Uploaded)
	return nil
}
