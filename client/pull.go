package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/carat-hub/carat/registry"
)

// PullResult says what a pull did.
type PullResult struct {
	Digest registry.Digest // of the manifest
	Files  []PulledFile    // in the order of the manifest
}

// PulledFile is one file of a pull.
type PulledFile struct {
	registry.File
	Fetched bool // over the network
	Copied  bool // from a file of the model with the same bytes; neither: it was right already
}

// Pull writes the files of the model that ref names into dir, several at
// once. A tag is resolved once; everything after goes by digest. Each file is
// fetched into a part file beside it, which a later pull takes up where it was
// left, and gets its name when all its bytes are synced and have the right
// digest. Files that are right already are not touched, files that the
// manifest does not name neither. Bytes that several files have are fetched
// once. Pulls into one folder at the same time wait for each other's files.
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

	p := &pull{c: c, r: c.remote(ref.Host), name: ref.Name, root: root}
	ctx = p.r.scoped(ctx, ref.Name, "pull")
	result := &PullResult{Digest: a.Digest, Files: make([]PulledFile, len(files))}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for i, f := range files {
		result.Files[i].File = f
	}
	for _, twins := range byContent(result.Files) {
		g.Go(func() error { return p.files(gctx, twins) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return result, nil
}

// byContent groups files of the same bytes, in the order of the first of each.
func byContent(files []PulledFile) [][]*PulledFile {
	type content struct {
		digest registry.Digest
		size   int64
	}
	index := make(map[content]int)
	var groups [][]*PulledFile
	for i := range files {
		f := &files[i]
		key := content{f.Digest, f.Size}
		n, ok := index[key]
		if !ok {
			n = len(groups)
			index[key] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], f)
	}
	return groups
}

// pull is one call of Pull.
type pull struct {
	c    *Client
	r    *remote
	name registry.Name
	root *os.Root
}

// files puts files of the same bytes in place. The first that is right or
// was fetched is what the others are copied from.
func (p *pull) files(ctx context.Context, twins []*PulledFile) error {
	var source string
	var missing []*PulledFile
	transfers := make(map[*PulledFile]*transfer, len(twins))
	for _, f := range twins {
		t := p.c.track(Event{Action: Downloading, Path: f.Path, Size: f.Size})
		right, err := p.isRight(ctx, f.File, t)
		switch {
		case err != nil:
			return fmt.Errorf("pull %s: %w", f.Path, err)
		case right:
			source = f.Path
			t.end(UpToDate)
		default:
			transfers[f] = t
			missing = append(missing, f)
		}
	}
	for _, f := range missing {
		done, err := p.file(ctx, f.File, source, transfers[f])
		if err != nil {
			return fmt.Errorf("pull %s: %w", f.Path, err)
		}
		f.Fetched, f.Copied = done == Downloaded, done == Copied
		transfers[f].end(done)
		source = f.Path
	}
	return nil
}

// file puts one file in place, copied from source unless that is "", and
// says how: Downloaded, Copied, or UpToDate when another pull was faster.
func (p *pull) file(ctx context.Context, f registry.File, source string, t *transfer) (Action, error) {
	target, name := filepath.FromSlash(f.Path), filepath.FromSlash(partName(f))
	if err := p.root.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	for {
		part, err := p.c.holdPart(ctx, p.root, name, t)
		if err == nil {
			var done Action
			if done, err = p.fill(ctx, f, part, source, t); err == nil {
				return done, publish(p.root, part, name, target)
			}
			if info, serr := part.Stat(); serr == nil && info.Size() == 0 {
				// Nothing in it is worth resuming; that it could not be removed adds nothing to err.
				_ = p.root.Remove(name)
			}
			return "", errors.Join(err, part.Close())
		}
		if !errors.Is(err, errReplaced) {
			return "", err
		}
		if right, err := p.isRight(ctx, f, t); err != nil || right {
			return UpToDate, err
		}
	}
}

// fill makes the part file right.
func (p *pull) fill(ctx context.Context, f registry.File, part *os.File, source string, t *transfer) (Action, error) {
	if source != "" {
		if err := p.copy(part, source); err != nil {
			return "", err
		}
	}
	d := &download{r: p.r, name: p.name, file: f, part: part, t: t}
	if err := d.run(ctx); err != nil {
		return "", err
	}
	if source != "" && !d.asked {
		return Copied, nil
	}
	return Downloaded, nil
}

// copy fills the part file from another file of the folder. What it copies
// is not trusted: the part file is checked like any that was found.
func (p *pull) copy(part *os.File, source string) error {
	file, err := p.root.Open(filepath.FromSlash(source))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := part.Truncate(0); err != nil {
		return fmt.Errorf("empty part file: %w", err)
	}
	if _, err := io.Copy(part, file); err != nil {
		return fmt.Errorf("copy %s: %w", source, err)
	}
	return nil
}

// publish syncs the part file and gives it its name. The lock is held until
// it has it, but for Windows, where an open file cannot be renamed.
func publish(root *os.Root, part *os.File, name, target string) error {
	err := part.Sync()
	if runtime.GOOS == "windows" {
		err = errors.Join(err, part.Close())
	} else {
		defer part.Close() // it is synced: closing can only end the lock
	}
	if err != nil {
		return fmt.Errorf("sync file: %w", err)
	}
	if err := root.Rename(name, target); err != nil {
		return fmt.Errorf("name file: %w", err)
	}
	return syncFolder(root, filepath.Dir(target))
}

// isRight reports whether the file is on disk with the right bytes. A folder
// in its place is an error; a symbolic link is replaced.
func (p *pull) isRight(ctx context.Context, f registry.File, t *transfer) (bool, error) {
	target := filepath.FromSlash(f.Path)
	info, err := p.root.Lstat(target)
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
	file, err := p.root.Open(target)
	if err != nil {
		return false, err
	}
	defer file.Close()
	h := f.Digest.Algorithm().New()
	check := &transfer{r: t.r, e: t.event()}
	check.e.Action = Hashing
	if _, err := io.CopyBuffer(h, check.reading(ctx, file, 0), make([]byte, copyBuffer)); err != nil {
		return false, fmt.Errorf("read the file on disk: %w", err)
	}
	return registry.DigestFromHash(f.Digest.Algorithm(), h) == f.Digest, nil
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
