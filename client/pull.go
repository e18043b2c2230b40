package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/carat-hub/carat/registry"
)

// partSuffix ends the names of unfinished downloads, ".NAME.DIGEST12.part".
const partSuffix = ".part"

// PullResult says what a pull did.
type PullResult struct {
	Digest registry.Digest // of the manifest
	Files  []PulledFile    // in the order of the manifest
}

// PulledFile is one file of a pull.
type PulledFile struct {
	registry.File
	Fetched bool // false: it was right already
}

// Pull writes the files of the model that ref names into dir, several at
// once. A tag is resolved once; everything after goes by digest. Each file is
// fetched into a part file beside it, which a later pull takes up where it was
// left, and gets its name when all its bytes are synced and have the right
// digest. Files that are right already are not touched, files that the
// manifest does not name neither.
// Errors: ErrIndex, ErrDigest, ErrForeignCredentials, ErrDowngrade, *ResponseError.
func (c *Client) Pull(ctx context.Context, ref Reference, dir string) (*PullResult, error) {
	a, err := c.Artifact(ctx, ref)
	if err != nil {
		return nil, err
	}
	files, err := a.Files()
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", ref, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()

	r := c.remote(ref.Host)
	ctx = r.scoped(ctx, ref.Name, "pull")
	result := &PullResult{Digest: a.Digest, Files: make([]PulledFile, len(files))}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for i, f := range files {
		g.Go(func() error {
			fetched, err := c.pullFile(gctx, r, ref.Name, root, f)
			if err != nil {
				return fmt.Errorf("pull %s: %w", f.Path, err)
			}
			result.Files[i] = PulledFile{File: f, Fetched: fetched}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return result, nil
}

func (c *Client) pullFile(ctx context.Context, r *remote, n registry.Name, root *os.Root, f registry.File) (fetched bool, err error) {
	t := c.track(Event{Action: Downloading, Path: f.Path, Size: f.Size})
	target := filepath.FromSlash(f.Path)
	right, err := c.isRight(ctx, root, target, f, t)
	if err != nil {
		return false, err
	}
	if right {
		t.end(UpToDate)
		return false, nil
	}
	if err := root.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return false, err
	}
	partName := filepath.FromSlash(partName(f))
	part, err := openPart(root, partName)
	if err != nil {
		return false, err
	}
	defer func() {
		if cerr := part.Close(); err == nil && cerr != nil && !errors.Is(cerr, fs.ErrClosed) {
			err = cerr
		}
	}()
	d := &download{r: r, name: n, file: f, part: part, t: t}
	if err := d.run(ctx); err != nil {
		if d.offset == 0 {
			// Nothing in it is worth resuming; that it could not be removed adds nothing to err.
			_ = root.Remove(partName)
		}
		return false, err
	}
	if err := part.Sync(); err != nil {
		return false, fmt.Errorf("sync file: %w", err)
	}
	if err := part.Close(); err != nil {
		return false, fmt.Errorf("close file: %w", err)
	}
	if err := root.Rename(partName, target); err != nil {
		// Another pull into the same folder may have finished the same part file first.
		if right, rerr := c.isRight(ctx, root, target, f, t); errors.Is(err, fs.ErrNotExist) && rerr == nil && right {
			t.end(UpToDate)
			return false, nil
		}
		return false, fmt.Errorf("name file: %w", err)
	}
	if err := syncFolder(root, filepath.Dir(target)); err != nil {
		return false, err
	}
	t.end(Downloaded)
	return true, nil
}

// isRight reports whether the file is on disk with the right bytes. A folder
// in its place is an error; a symbolic link is replaced.
func (c *Client) isRight(ctx context.Context, root *os.Root, target string, f registry.File, t *transfer) (bool, error) {
	info, err := root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, errors.New("a folder of that name is in the way")
	case !info.Mode().IsRegular() || info.Size() != f.Size:
		return false, nil
	}
	file, err := root.Open(target)
	if err != nil {
		return false, err
	}
	defer file.Close()
	h := f.Digest.Algorithm().New()
	check := &transfer{r: t.r, e: t.e}
	check.e.Action = Hashing
	if _, err := io.CopyBuffer(h, check.reading(ctx, file, 0), make([]byte, copyBuffer)); err != nil {
		return false, fmt.Errorf("read the file on disk: %w", err)
	}
	return registry.DigestFromHash(f.Digest.Algorithm(), h) == f.Digest, nil
}

// partName returns the slash-separated path of the part file, which is bound
// to the digest: what was fetched for another version is never continued.
func partName(f registry.File) string {
	const digits = 12
	dir, base := path.Split(f.Path)
	most := maxComponentLen - len(partSuffix) - digits - 2
	if len(base) > most {
		base = strings.ToValidUTF8(base[:most], "")
	}
	return dir + "." + base + "." + f.Digest.Hex()[:digits] + partSuffix
}

// syncFolder makes a rename in the folder durable. Windows has no such call.
func syncFolder(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
