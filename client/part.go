package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
)

// partSuffix ends the names of unfinished downloads, ".NAME.DIGEST12.part".
const partSuffix = ".part"

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

// errReplaced is a part file that another pull finished or gave up meanwhile.
var errReplaced = errors.New("another pull has worked on the part file")

// lockWait is between two looks at a part file that another pull holds.
const lockWait = 200 * time.Millisecond

// holdPart opens the part file and waits until no other pull holds it.
// Errors: errReplaced when the file open now is no longer the one of that
// name, so that it must not be written to.
func (c *Client) holdPart(ctx context.Context, root *os.Root, name string, t *transfer) (*os.File, error) {
	part, err := openPart(root, name)
	if err != nil {
		return nil, err
	}
	if err := c.lockPart(ctx, root, name, part, t); err != nil {
		return nil, errors.Join(err, part.Close())
	}
	return part, nil
}

func (c *Client) lockPart(ctx context.Context, root *os.Root, name string, part *os.File, t *transfer) error {
	for waited := false; ; waited = true {
		held, err := tryLock(part)
		if err != nil {
			return err
		}
		if held {
			break
		}
		if !waited {
			t.wait()
		}
		if err := c.opts.Sleep(ctx, lockWait); err != nil {
			return err
		}
	}
	mine, err := part.Stat()
	if err != nil {
		return err
	}
	named, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, named) {
		return errReplaced
	}
	return err
}

// openPart opens the part file, which must be a regular file if it is there.
func openPart(root *os.Root, name string) (*os.File, error) {
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is in the way: it is not a regular file", name)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
}
