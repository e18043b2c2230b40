package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Errors that callers may test for with errors.Is.
var (
	// ErrNotExist says that there is no object or no unfinished upload under the key.
	ErrNotExist = errors.New("object does not exist")
	// ErrNoSpace says that the disk or the quota is full; what was acknowledged is kept.
	ErrNoSpace = errors.New("no space left in blob storage")
	// ErrUnavailable says that the store could not be reached or answered with
	// a temporary failure; the same call may succeed later.
	ErrUnavailable = errors.New("blob storage is unavailable")
	// ErrState says that an upload cannot be resumed from the state given:
	// the bytes that it promises are not there.
	ErrState = errors.New("upload state does not match the stored bytes")
	// ErrRange says that the range asked for starts beyond the object's end.
	ErrRange = errors.New("range is outside the object")
)

// keyPrefix is the folder of all committed objects.
const keyPrefix = "objects/"

// Key names one object: "objects/" and a version 7 UUID. It holds nothing
// that came from outside, so it is safe as a path and as an S3 key.
type Key string

// NewKey returns a key that was never used before.
func NewKey() Key {
	return Key(keyPrefix + uuid.Must(uuid.NewV7()).String())
}

// ParseKey checks a stored key.
func ParseKey(s string) (Key, error) {
	id, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return "", fmt.Errorf("storage key %q has no %q prefix", s, keyPrefix)
	}
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return "", fmt.Errorf("storage key %q is not a canonical UUID", s)
	}
	return Key(s), nil
}

// ID returns the UUID part of the key, 36 characters.
func (k Key) ID() string { return strings.TrimPrefix(string(k), keyPrefix) }

// Store keeps objects. All methods may be called concurrently.
type Store interface {
	// Open returns length bytes of an object from offset on; a length below
	// zero means up to the end. An offset at the very end is inside the object.
	// The reader fails with io.ErrUnexpectedEOF rather than end early, also
	// when the range goes beyond the end. ctx holds for the reader's life.
	// Errors: ErrNotExist, ErrRange, ErrUnavailable.
	Open(ctx context.Context, key Key, offset, length int64) (io.ReadCloser, error)

	// Stat returns the size of a committed object in bytes.
	// Errors: ErrNotExist, ErrUnavailable.
	Stat(ctx context.Context, key Key) (int64, error)

	// Create begins a new object. Nothing is visible under the key until Commit.
	// Here and in Resume, ctx bounds every Write of the Writer as well.
	// Errors: ErrNoSpace, ErrUnavailable; os.ErrExist where the store notices
	// that the key has an object or an unfinished upload already.
	Create(ctx context.Context, key Key) (Writer, error)

	// Resume continues an upload from what Suspend returned, in this or any
	// other process. Bytes written after that Suspend are dropped. A state
	// holds until Commit, Abort or Delete, or until bytes are written after
	// an older one. Errors: ErrNotExist, ErrState, ErrUnavailable.
	Resume(ctx context.Context, key Key, state State) (Writer, error)

	// Delete removes the object and whatever unfinished upload there is under
	// the key. Deleting what is not there is no error. Errors: ErrUnavailable.
	Delete(ctx context.Context, key Key) error

	// Ping tells whether the store can be read and written now.
	Ping(ctx context.Context) error
}

// State is what a driver needs to resume an upload: JSON, opaque to callers,
// at most a few hundred kilobytes.
type State []byte

// Writer appends one stream to an object. It is used by one goroutine and
// ends with exactly one of Suspend, Commit and Abort; after that every call
// fails. A failed Write leaves Offset at the bytes that were taken. A failed
// Suspend or Commit leaves the states that were returned earlier usable,
// unless the Commit took place and only its answer was lost: then Stat finds
// the object.
type Writer interface {
	// Write takes all of p or fails. Errors: ErrNoSpace, ErrUnavailable.
	io.Writer

	// Offset is the number of bytes taken so far, those before Resume included.
	Offset() int64

	// Suspend makes everything up to Offset durable and returns the state to
	// resume from. It also works after a failed Write.
	Suspend(ctx context.Context) (State, error)

	// Commit makes the object complete, durable and visible under its key.
	Commit(ctx context.Context) error

	// Abort drops everything written.
	Abort(ctx context.Context) error
}

// Redirector is a store that can hand out URLs which serve an object without us.
type Redirector interface {
	// RedirectURL returns a URL that answers the request described until it expires.
	RedirectURL(ctx context.Context, key Key, r Redirect) (string, error)
}

// Redirect describes the request that a redirect URL must answer.
type Redirect struct {
	Method      string        // http.MethodGet or http.MethodHead; signatures differ
	ContentType string        // what the answer should say, when not empty
	Filename    string        // suggested file name, when not empty
	Expires     time.Duration // how long the URL holds
}

// Valid reports whether the request is one that can be redirected.
func (r Redirect) Valid() bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Expires > 0
}

// Filer is a store whose objects are files of this machine, so that the
// kernel can send them (sendfile) or map them.
type Filer interface {
	// File opens a committed object for reading. Errors: ErrNotExist.
	File(ctx context.Context, key Key) (*os.File, error)
}
