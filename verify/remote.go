package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage/blockreader"
)

// Blobs are the hub's blobs, as *registry.Registry gives them out.
type Blobs interface {
	StatBlob(ctx context.Context, g auth.Grant, d registry.Digest) (registry.Blob, error)
	Open(ctx context.Context, b registry.Blob, offset, length int64) (io.ReadCloser, error)
	// File fails with errors.ErrUnsupported where blobs are no files.
	File(ctx context.Context, b registry.Blob) (*os.File, error)
}

// Source opens the files of versions in the hub.
type Source struct {
	Blobs Blobs
	Cache *Cache // of whole files, where blobs are no files of this machine
}

// ForInspection opens a version's files for reading a few ranges of each. The
// files are read under ctx.
func (s Source) ForInspection(ctx context.Context, v registry.Version) (Files, error) {
	return s.open(ctx, v, func(f registry.File, b registry.Blob) (*File, error) {
		r := blockreader.New(b.Size, func(p []byte, off int64) error { return s.fetchRange(ctx, b, p, off) })
		return &File{Path: f.Path, Size: b.Size, Digest: f.Digest, r: r}, nil
	})
}

// fetchRange fills p with the bytes of a blob from off on.
func (s Source) fetchRange(ctx context.Context, b registry.Blob, p []byte, off int64) error {
	r, err := s.Blobs.Open(ctx, b, off, int64(len(p)))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(r, p)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read %d bytes at %d: %w", len(p), off, notEOF(err))
	}
	return nil
}

// ForVerification opens a version's files as files of this machine, fetching
// them into the cache where they are none. Errors: ErrTooLarge.
func (s Source) ForVerification(ctx context.Context, v registry.Version) (Files, func(), error) {
	all, release, err := s.Together(ctx, []registry.Version{v})
	if err != nil {
		return nil, nil, err
	}
	return all[0], release, nil
}

// Together opens the files of several versions as ForVerification does those
// of one. Room for all is taken at once, so that callers who need several
// never wait for each other. Errors: ErrTooLarge.
func (s Source) Together(ctx context.Context, versions []registry.Version) (list []Files, release func(), err error) {
	var wanted []Wanted
	var all Files
	for _, v := range versions {
		files, err := s.open(ctx, v, func(f registry.File, b registry.Blob) (*File, error) {
			wanted = append(wanted, Wanted{Digest: f.Digest, Size: b.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
				return s.Blobs.Open(ctx, b, 0, -1)
			}})
			return &File{Path: f.Path, Size: b.Size, Digest: f.Digest}, nil
		})
		if err != nil {
			return nil, nil, errors.Join(err, all.Close())
		}
		list, all = append(list, files), append(all, files...)
	}
	done := func() {}
	if len(wanted) > 0 {
		if done, err = s.fetch(ctx, all, wanted); err != nil {
			return nil, nil, errors.Join(err, all.Close())
		}
	}
	return list, func() {
		// Closing a file that was only read loses nothing.
		_ = all.Close()
		done()
	}, nil
}

// fetch fills in the files that are not on this machine.
func (s Source) fetch(ctx context.Context, files Files, wanted []Wanted) (func(), error) {
	if s.Cache == nil {
		return nil, errors.New("blob storage has no files and there is no cache to fetch them into")
	}
	lease, err := s.Cache.Acquire(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.r != nil {
			continue
		}
		disk, err := lease.Open(f.Digest)
		if err != nil {
			lease.Release()
			return nil, err
		}
		f.r, f.disk = disk, disk
	}
	return lease.Release, nil
}

// open stats every file of a version and opens it as a file of this machine,
// or as other does where the storage has none.
func (s Source) open(ctx context.Context, v registry.Version, other func(registry.File, registry.Blob) (*File, error)) (list Files, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, list.Close())
			list = nil
		}
	}()
	g := auth.System(string(v.Name), auth.Pull)
	for _, f := range v.Files {
		b, err := s.Blobs.StatBlob(ctx, g, f.Digest)
		if err != nil {
			return list, fmt.Errorf("find %s: %w", f.Path, err)
		}
		one, err := s.openBlob(ctx, f, b, other)
		if err != nil {
			return list, fmt.Errorf("open %s: %w", f.Path, err)
		}
		one.Packed = f.Packed
		list = append(list, one)
	}
	list.sort()
	return list, nil
}

func (s Source) openBlob(ctx context.Context, f registry.File, b registry.Blob, other func(registry.File, registry.Blob) (*File, error)) (*File, error) {
	disk, err := s.Blobs.File(ctx, b)
	if errors.Is(err, errors.ErrUnsupported) {
		return other(f, b)
	}
	if err != nil {
		return nil, err
	}
	one, err := OpenFile(f.Path, f.Digest, disk)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return one, nil
}

// notEOF keeps an object that ends early from being taken for the file's end.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("object ends early")
	}
	return err
}
