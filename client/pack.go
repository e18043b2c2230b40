package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carat-hub/carat/registry"
)

// Descriptor names content in a manifest. Source: OCI image-spec v1.1.1.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       registry.Digest   `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Package is a model ready to be pushed: manifest and config as the bytes
// that get their digests, and the files that the layers are.
type Package struct {
	Manifest []byte
	Digest   registry.Digest // of Manifest
	Config   []byte
	Layers   []Descriptor // one for each file of the source, in its order

	config Descriptor
	source *Source
}

// Size returns the bytes of manifest, config and files.
func (p *Package) Size() int64 {
	return int64(len(p.Manifest)) + int64(len(p.Config)) + p.source.Size()
}

type ociManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Pack hashes the files of a source, several at once, and builds the
// ModelPack manifest. The same files and description give the same digest:
// owner, permissions and times of the files are not recorded.
// Errors: ErrChanged.
func (c *Client) Pack(ctx context.Context, s *Source, d Description) (*Package, error) {
	p := &Package{Layers: make([]Descriptor, len(s.Files)), source: s}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for i := range s.Files {
		g.Go(func() error {
			digest, err := c.hashFile(gctx, s, &s.Files[i])
			if err != nil {
				return err
			}
			p.Layers[i], err = layer(&s.Files[i], digest)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("hash files: %w", err)
	}
	digests := make([]registry.Digest, len(p.Layers))
	for i, l := range p.Layers {
		digests[i] = l.Digest
	}
	var err error
	if p.Config, err = d.config(digests); err != nil {
		return nil, err
	}
	p.config = Descriptor{
		MediaType: registry.ModelPackConfig,
		Digest:    registry.DigestOf(registry.SHA256, p.Config),
		Size:      int64(len(p.Config)),
	}
	p.Manifest, err = json.Marshal(ociManifest{
		SchemaVersion: 2,
		MediaType:     registry.MediaTypeOCIManifest,
		ArtifactType:  registry.ModelPackArtifact,
		Config:        p.config,
		Layers:        p.Layers,
	})
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if len(p.Manifest) > maxManifest {
		return nil, fmt.Errorf("the manifest of %d files has %d bytes; registries take at most %d", len(p.Layers), len(p.Manifest), maxManifest)
	}
	p.Digest = registry.DigestOf(registry.SHA256, p.Manifest)
	return p, nil
}

func (c *Client) hashFile(ctx context.Context, s *Source, f *SourceFile) (registry.Digest, error) {
	file, err := s.Open(f.Path)
	if err != nil {
		return registry.Digest{}, err
	}
	defer file.Close()
	if err := f.unchanged(file); err != nil {
		return registry.Digest{}, err
	}
	t := c.track(Event{Action: Hashing, Path: f.Path, Size: f.Size})
	h := registry.SHA256.New()
	n, err := io.CopyBuffer(h, t.reading(ctx, io.LimitReader(file, f.Size+1), 0), make([]byte, copyBuffer))
	if err != nil {
		return registry.Digest{}, fmt.Errorf("read %s: %w", f.Path, err)
	}
	if n != f.Size {
		return registry.Digest{}, fmt.Errorf("%s: %w", f.Path, ErrChanged)
	}
	if err := f.unchanged(file); err != nil {
		return registry.Digest{}, err
	}
	t.end(Hashed)
	return registry.DigestFromHash(registry.SHA256, h), nil
}

// fileMetadata is the value of the file metadata annotation. Only name and
// size are the file's own: the rest is fixed, so that a model's digest does
// not depend on whose disk it lay on. Source: modelpack/model-spec docs/annotations.md.
type fileMetadata struct {
	Name     string    `json:"name"`
	Mode     uint32    `json:"mode"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     int64     `json:"size"`
	ModTime  time.Time `json:"mtime"`
	TypeFlag byte      `json:"typeflag"` // '0', a regular file in tar
}

func layer(f *SourceFile, d registry.Digest) (Descriptor, error) {
	meta, err := json.Marshal(fileMetadata{
		Name: path.Base(f.Path), Mode: 0o644, Size: f.Size, ModTime: time.Unix(0, 0).UTC(), TypeFlag: '0',
	})
	if err != nil {
		return Descriptor{}, fmt.Errorf("encode metadata of %s: %w", f.Path, err)
	}
	return Descriptor{
		MediaType: f.MediaType,
		Digest:    d,
		Size:      f.Size,
		Annotations: map[string]string{
			registry.AnnotationModelPackPath:     f.Path,
			registry.AnnotationTitle:             f.Path,
			registry.AnnotationModelPackMetadata: string(meta),
			registry.AnnotationModelPackUntested: strconv.FormatBool(f.Guessed),
		},
	}, nil
}
