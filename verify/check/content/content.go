package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Severity is how bad a finding is.
type Severity int

// The severities.
const (
	// Noted is data that runs nothing.
	Noted Severity = iota
	// Odd is of a format that can hold programs, and no program was found; or a program that nothing runs by itself.
	Odd
	// Bad runs code when it is loaded, hides something, or cannot be looked into.
	Bad
)

// Item is one thing that was found.
type Item struct {
	// Where is the file, and behind " > " the member of an archive.
	Where string
	// Kind is what it is, "pickle" or "ELF program".
	Kind     string
	Severity Severity
	Reason   string
	// Imports lists what a pickle imports or calls beyond what plain tensors need, as "REDUCE os.system".
	Imports []string
}

// The limits of one Looker.
const (
	maxDepth    = 5         // archives in archives
	maxInflated = 256 << 20 // bytes that are decompressed in all
	maxHeld     = 64 << 20  // decompressed bytes of one stream
	maxMembers  = 1 << 16   // of all archives
	maxItems    = 1 << 10
	maxImports  = 32
	headSize    = 4 << 10
)

// Looker looks at the files of one version, which share its limits.
type Looker struct {
	ctx     context.Context
	items   []Item
	left    int64 // bytes that may yet be decompressed
	members int
}

// NewLooker returns a Looker with all its limits before it.
func NewLooker(ctx context.Context) *Looker { return &Looker{ctx: ctx, left: maxInflated} }

// Items returns what was found so far, in the order in which it was.
func (l *Looker) Items() []Item { return l.items }

func (l *Looker) add(i Item) {
	if len(l.items) < maxItems {
		l.items = append(l.items, i)
	}
}

func (l *Looker) report(where, kind string, s Severity, format string, args ...any) {
	l.add(Item{Where: where, Kind: kind, Severity: s, Reason: fmt.Sprintf(format, args...)})
}

// source is a file or the member of an archive.
type source struct {
	io.ReaderAt
	size  int64
	where string
	depth int
	head  []byte
}

// ReadAt keeps offsets that were computed from the bytes inside the source: a reader's complaint would be taken for a broken
// disk.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size {
		return 0, io.ErrUnexpectedEOF
	}
	return s.ReaderAt.ReadAt(p, off)
}

// Look adds what a file is. Its error is that of the reader, or of the context.
func (l *Looker) Look(where string, r io.ReaderAt, size int64) error {
	return l.look(&source{ReaderAt: r, size: size, where: where})
}

func (l *Looker) look(s *source) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if s.size == 0 {
		return nil
	}
	s.head = make([]byte, min(s.size, headSize))
	if err := readFull(s, s.head, 0); err != nil {
		return err
	}
	if m, ok := recognise(s.head); ok {
		l.report(s.where, m.kind, m.severity, "%s", m.reason)
		if m.severity == Bad {
			return nil
		}
	}
	begins, err := l.byKind(s)
	if err != nil || begins == "zip archive" {
		return err
	}
	return l.tail(s, begins)
}

// byKind looks into what has an inside, and returns what the file begins as.
func (l *Looker) byKind(s *source) (begins string, err error) {
	switch k := compression(s.head); {
	case hasPrefix(s.head, "PK\x03\x04") || hasPrefix(s.head, "PK\x05\x06"):
		return "zip archive", l.zip(s)
	case isTar(s.head):
		return "tar archive", l.tar(s)
	case k != nil && k.open == nil:
		l.report(s.where, k.name, Bad, "it is compressed with %s and cannot be looked into", k.name)
		return k.name, nil
	case k != nil:
		return k.name, l.compressed(s, k)
	case hasPrefix(s.head, "\x93NUMPY"):
		return "numpy array", l.numpy(s)
	case hasPrefix(s.head, "GGUF"):
		return "GGUF file", nil
	case isSafetensors(s.head, s.size):
		return "safetensors file", nil
	}
	if at := hdf5(s); at >= 0 {
		return "HDF5 file", l.hdf5(s)
	}
	found, err := l.pickle(s, 0)
	if err != nil || found {
		return "pickle", err
	}
	if isText(s.head) {
		return "text", l.text(s)
	}
	return "file", l.onnx(s)
}

// isSafetensors reports whether a file begins with the length of a header and the header.
func isSafetensors(head []byte, size int64) bool {
	if len(head) < 10 || head[8] != '{' {
		return false
	}
	n := uint64(0)
	for i, b := range head[:8] {
		n |= uint64(b) << (8 * i)
	}
	return n <= uint64(size)-8 && n <= 100_000_000
}

func hasPrefix(head []byte, magic string) bool { return strings.HasPrefix(string(head), magic) }

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// bytesAt reads n bytes at off, or what there is of them.
func (s *source) bytesAt(off, n int64) ([]byte, error) {
	off = min(max(off, 0), s.size)
	p := make([]byte, min(n, s.size-off))
	return p, readFull(s, p, off)
}

// inner is a member of s with content of its own.
func (s *source) inner(name string, r io.ReaderAt, size int64) *source {
	return &source{ReaderAt: r, size: size, where: s.where + " > " + name, depth: s.depth + 1}
}

// enter looks into a member, unless it lies too deep.
func (l *Looker) enter(m *source) error {
	if m.depth > maxDepth {
		l.report(m.where, "archive", Bad, "archives lie more than %d deep in each other", maxDepth)
		return nil
	}
	return l.look(m)
}
