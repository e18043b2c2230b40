package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

// modelCache keeps pulled models for the commands that run them. Versions lie
// in folders named after their digest, which are there as a whole or not at
// all; files that several versions have are one file with several names.
//
//	models/HOST/NAME/DIGEST/  the files of a version
//	blobs/DIGEST              each file again, by its own digest
//	tags/HOST/NAME/TAG        the digest that a tag named last
type modelCache struct{ dir string }

// newModelCache returns the cache in XDG_CACHE_HOME, or where the operating
// system keeps such things.
func (e *env) newModelCache() (*modelCache, error) {
	dir := e.getenv("XDG_CACHE_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserCacheDir(); err != nil {
			return nil, fmt.Errorf("find the cache folder: %w", err)
		}
	}
	return &modelCache{filepath.Join(dir, "carat")}, nil
}

// fileName makes a host or digest a name that every file system takes.
func fileName(s string) string { return strings.ReplaceAll(s, ":", "-") }

func (c *modelCache) repository(kind string, ref client.Reference) string {
	return filepath.Join(c.dir, kind, fileName(ref.Host), filepath.FromSlash(string(ref.Name)))
}

func (c *modelCache) version(ref client.Reference, d registry.Digest) string {
	return filepath.Join(c.repository("models", ref), fileName(d.String()))
}

func (c *modelCache) blob(d registry.Digest) string {
	return filepath.Join(c.dir, "blobs", fileName(d.String()))
}

// tagged returns the digest that a tag named when it was last asked for.
func (c *modelCache) tagged(ref client.Reference) (registry.Digest, bool) {
	b, err := os.ReadFile(filepath.Join(c.repository("tags", ref), string(ref.Tag)))
	if err != nil {
		return registry.Digest{}, false
	}
	d, err := registry.ParseDigest(strings.TrimSpace(string(b)))
	return d, err == nil
}

func (c *modelCache) tag(ref client.Reference, d registry.Digest) error {
	dir := c.repository("tags", ref)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("remember the tag: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, string(ref.Tag)), []byte(d.String()+"\n"), 0o644); err != nil {
		return fmt.Errorf("remember the tag: %w", err)
	}
	return nil
}

// has reports whether a version is there.
func (c *modelCache) has(ref client.Reference, d registry.Digest) bool {
	info, err := os.Stat(c.version(ref, d))
	return err == nil && info.IsDir()
}

// get returns the folder of the model that ref names, pulled unless it is
// there. A tag is asked for each time; when its registry cannot be reached,
// the version that it named last is taken and said so.
func (c *modelCache) get(ctx context.Context, cl *client.Client, ref client.Reference, say func(string)) (string, error) {
	if !ref.Digest.IsZero() && c.has(ref, ref.Digest) {
		return c.version(ref, ref.Digest), nil
	}
	a, err := cl.Artifact(ctx, ref)
	if err != nil {
		var answer *client.ResponseError
		if d, ok := c.tagged(ref); ok && ref.Digest.IsZero() && ctx.Err() == nil && !errors.As(err, &answer) && c.has(ref, d) {
			say(fmt.Sprintf("%s does not answer; running the version pulled last, %s", ref.Host, d))
			return c.version(ref, d), nil
		}
		return "", err
	}
	if !c.has(ref, a.Digest) {
		if err := c.pull(ctx, cl, ref, a); err != nil {
			return "", err
		}
	}
	if ref.Digest.IsZero() {
		if err := c.tag(ref, a.Digest); err != nil {
			return "", err
		}
	}
	return c.version(ref, a.Digest), nil
}

// pull fetches into a folder beside the version's, which then gets its name.
// What the cache has of the files is linked into it first.
func (c *modelCache) pull(ctx context.Context, cl *client.Client, ref client.Reference, a *client.Artifact) error {
	files, err := a.Files()
	if err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	folder := c.version(ref, a.Digest)
	part := folder + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	for _, f := range files {
		link(c.blob(f.Digest), filepath.Join(part, filepath.FromSlash(f.Path)))
	}
	pulled, err := cl.Pull(ctx, ref.Pinned(a.Digest), part)
	if err != nil {
		return err
	}
	for _, f := range pulled.Files {
		if f.Fetched {
			_ = os.Remove(c.blob(f.Digest)) // what is there is damaged: it would have been right
		}
		link(filepath.Join(part, filepath.FromSlash(f.Path)), c.blob(f.Digest))
	}
	if err := os.Rename(part, folder); err != nil && !c.has(ref, a.Digest) { // another process may have been faster
		return fmt.Errorf("name the cache folder: %w", err)
	}
	return nil
}

// link gives a file a second name. Where that does not work, because the file
// is not there, the name is taken, or the file system has no links, nothing is
// lost: a pull checks digests and fetches what is missing.
func link(from, to string) {
	if os.MkdirAll(filepath.Dir(to), 0o755) == nil {
		_ = os.Link(from, to)
	}
}
