package sandbox

import (
	"context"
	"io"
	"os"
	"time"
)

// MaxArgs is how long Options.Args may be.
const MaxArgs = 16 << 20

// Options describe one child.
type Options struct {
	// Task is the name of the task in the child's Main.
	Task string
	// Args is handed to the task as it is; at most MaxArgs bytes.
	Args []byte
	// Files are regular files that the task gets in this order, as read-only descriptors of its own, with their own offsets. One that
	// cannot be opened again through /proc must be open for reading only, and shares its offset. The caller keeps and closes these.
	Files []*os.File
	// Ranges are files that have no descriptor here: the child's reads become ReadAt calls in this process, up to 4 at a time, of at
	// most 1 MiB each. Run returns only when calls that have begun have returned.
	Ranges []Range
	// Limits bound the child; what is zero gets its default.
	Limits Limits
	// Require are the layers without which the child is not given its input. Zero means Default; None accepts any level.
	Require Layers
	// Message gets each message of the child, in order, while the child runs; the slice is its own. An error stops the child, and
	// Run returns it. Nil drops messages.
	Message func([]byte) error
}

// Range is a file of known size that is read at offsets.
type Range struct {
	io.ReaderAt
	Size int64
}

// Limits bound a child.
type Limits struct {
	// Memory is the child's own memory in bytes: what is mapped from its files does not count, nor does what Go's runtime had at start.
	// 1 GiB when zero. A child can overshoot it for as long as the parent takes to look again, by at most 128 MiB.
	Memory int64
	// CPU is processor time over all threads; 1 minute when zero.
	CPU time.Duration
	// Wall is time by the clock, from the start of the process; 2 minutes when zero.
	Wall time.Duration
	// Output is the sum of all messages in bytes, each counted with 64 bytes on top; 16 MiB when zero.
	Output int64
	// Message is the length of one message in bytes; 1 MiB when zero.
	Message int64
	// Read is the sum of what the child asks for through Ranges in bytes, each request counted as at least 4 KiB; 4 GiB when zero.
	Read int64
	// Threads is how many threads of the operating system the child may have; 256 when zero. A goroutine that waits for a file's bytes
	// holds one.
	Threads int
}

func (l Limits) withDefaults() Limits {
	if l.Memory <= 0 {
		l.Memory = 1 << 30
	}
	if l.CPU <= 0 {
		l.CPU = time.Minute
	}
	if l.Wall <= 0 {
		l.Wall = 2 * time.Minute
	}
	if l.Output <= 0 {
		l.Output = 16 << 20
	}
	if l.Message <= 0 {
		l.Message = 1 << 20
	}
	if l.Read <= 0 {
		l.Read = 4 << 30
	}
	if l.Threads <= 0 {
		l.Threads = 256
	}
	return l
}

// Outcome is what was measured of a child, also of one that failed.
type Outcome struct {
	// Level is what held; the zero Level when the child did not get so far.
	Level Level
	// Memory is the most memory of its own, in bytes, that the parent saw the child hold (see Limits.Memory, runtime included); 0 when
	// it could not look.
	Memory int64
	// CPU and Wall are the time the process used, its start and its restriction included.
	CPU, Wall time.Duration
	// Messages and Output count what the child sent, Output as Limits.Output does.
	Messages, Output int64
	// Read is what the child asked for through Ranges, counted as Limits.Read does.
	Read int64
}

// Task is what a child runs. An error becomes a *TaskError in the parent, cut to 4 KiB.
type Task func(ctx context.Context, in Input, out *Output) error

// Input is what the parent handed to the task.
type Input struct {
	Args   []byte
	Files  []*os.File
	Ranges []Range
}
