package registry

import (
	"context"
	"strings"
	"sync"

	"github.com/carat-hub/carat/auth"
)

// Selector tells a version of a model by its tag, its digest, or the first
// hexadecimal digits of its SHA-256 digest. The zero value tells the one that
// stands for the model: tagged main, or else latest, or else the newest.
type Selector struct {
	Tag    Tag
	Digest Digest
	Prefix string // at least 12 digits
}

// minPrefix is how many hexadecimal digits of a digest must be given at least.
const minPrefix = 12

// Listing is what a version consists of. It is shared and must not be changed.
type Listing struct {
	Digest Digest // of the manifest
	Files  []File

	index map[string]int // of Files by their paths
}

// File returns the file of a path, and whether there is one.
func (l *Listing) File(path string) (File, bool) {
	i, ok := l.index[path]
	if !ok {
		return File{}, false
	}
	return l.Files[i], true
}

func newListing(v *Version) *Listing {
	l := &Listing{Digest: v.Digest, Files: v.Files, index: make(map[string]int, len(v.Files))}
	for i := range v.Files {
		l.index[v.Files[i].Path] = i
	}
	return l
}

// Listing returns the files of a version without what is known about it. It
// looks up which version it is each time, and remembers what that consists of.
// Errors: CodeManifestUnknown.
func (r *Registry) Listing(ctx context.Context, g auth.Grant, s Selector) (*Listing, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	if s.Prefix != "" && (len(s.Prefix) < minPrefix || strings.Trim(s.Prefix, "0123456789abcdef") != "") {
		return nil, Errorf(CodeManifestUnknown, "%.80q names no version of %s", s.Prefix, n)
	}
	d, err := r.store.Locate(ctx, n, s)
	if err != nil {
		return nil, err
	}
	key := listingKey{n, d}
	if l := r.listings.get(key); l != nil {
		return l, nil
	}
	v, err := r.store.Version(ctx, n, Reference{Digest: d})
	if err != nil {
		return nil, err
	}
	l := newListing(&v)
	r.listings.put(key, l)
	return l, nil
}

// maxListed is how many files all remembered listings of one generation have.
const maxListed = 50_000

type listingKey struct {
	name   Name
	digest Digest
}

// listings remembers those that were asked for lately, in two generations:
// what is asked for moves to the young one, and when that is full it becomes
// the old one, which is forgotten. The zero value is ready for use.
type listings struct {
	mu         sync.Mutex
	young, old map[listingKey]*Listing
	files      int // of young
}

// get returns a listing, nil when none is remembered.
func (c *listings) get(key listingKey) *Listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.young[key]; l != nil {
		return l
	}
	l := c.old[key]
	if l != nil {
		c.add(key, l)
	}
	return l
}

func (c *listings) put(key listingKey, l *Listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(key, l)
}

func (c *listings) add(key listingKey, l *Listing) {
	if c.young[key] != nil || len(l.Files) >= maxListed {
		return
	}
	if c.young == nil || c.files+len(l.Files) >= maxListed {
		c.old, c.young, c.files = c.young, map[listingKey]*Listing{}, 0
	}
	c.young[key] = l
	c.files += len(l.Files) + 1
}
