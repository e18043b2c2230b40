package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often the parent looks at what the child uses.
const lookEvery = 20 * time.Millisecond

// watch ends the child when ctx ends or when it has used up its memory, its processor time or its time.
func (r *run) watch(ctx context.Context, began time.Time) {
	wall := time.NewTimer(time.Until(began.Add(r.o.Limits.Wall)))
	defer wall.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-r.proc.exited:
			return
		case <-ctx.Done():
			r.stop(context.Cause(ctx))
			return
		case <-wall.C:
			r.stop(&LimitError{LimitWall, r.o.Limits.Wall.String()})
			return
		case <-look.C:
			if used := r.sample(); used > r.o.Limits.Memory+runtimeMemory {
				r.stop(memoryLimit(r.o.Limits))
				return
			}
			if used, ok := r.processorTime(); ok && used > r.o.Limits.CPU {
				r.stop(cpuLimit(r.o.Limits))
				return
			}
		}
	}
}

// runtimeMemory is allowed for what Go's runtime and the program's own start take.
const runtimeMemory = 16 << 20

func memoryLimit(l Limits) error {
	return &LimitError{LimitMemory, fmt.Sprintf("%d MiB", l.Memory>>20)}
}

func cpuLimit(l Limits) error { return &LimitError{LimitCPU, l.CPU.String()} }

// processorTime is what the child has used on all threads.
func (r *run) processorTime() (time.Duration, bool) {
	const scheduler = 2 // the clock of what the scheduler gave, as in the kernel's posix-timers.h
	var t unix.Timespec
	err := unix.ClockGettime(int32(^r.proc.Pid)<<3|scheduler, &t)
	select {
	case <-r.proc.ending: // the number may have been another's
		return 0, false
	default:
		return time.Duration(t.Nano()), err == nil
	}
}

// sample looks at the child's memory, in bytes, and remembers the most.
func (r *run) sample() int64 {
	status, ok := r.look()
	if !ok {
		return 0
	}
	size := func(key string) int64 {
		n, _ := statusKB(status, key)
		return n
	}
	// Files do not count, nor the page tables for them (8 bytes for each page of 4 KiB). Those on a tmpfs are shared memory to the
	// kernel; there is no other where the filter holds.
	used := size("RssAnon") + max(0, size("RssShmem")-r.mapped) + max(0, size("VmPTE")-r.mapped/512)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Memory = max(r.out.Memory, used)
	return used
}

// look reads the child's status.
func (r *run) look() (string, bool) {
	if r.status == nil {
		return "", false
	}
	b := make([]byte, 4<<10)
	n, err := r.status.ReadAt(b, 0)
	if n == 0 || (err != nil && !errors.Is(err, io.EOF)) {
		return "", false
	}
	return string(b[:n]), true
}

// seen takes from a level what the parent sees otherwise, and adds what only it can see.
func (r *run) seen(l Level) Level {
	l.Layers &^= Cgroup
	if r.group.holds(r.proc.Pid) {
		l.Layers |= Cgroup
	}
	status, ok := r.look()
	if !ok {
		return l
	}
	if v, ok := statusLine(status, "NoNewPrivs"); ok && v != "1" {
		l.Layers &^= NoNewPrivs
	}
	if v, ok := statusLine(status, "Seccomp"); ok && v != "2" {
		l.Layers &^= Seccomp
	}
	l.Layers &^= Unprivileged
	users, _ := statusLine(status, "Uid")
	capable, _ := statusLine(status, "CapPrm")
	if ids := strings.Fields(users); len(ids) == 4 && strings.Trim(capable, "0") == "" && capable != "" {
		l.Layers |= Unprivileged
		for _, id := range ids {
			if id == "0" {
				l.Layers &^= Unprivileged
			}
		}
	}
	return l
}

// tail keeps the first and the last bytes of what a child writes to its standard error.
type tail struct {
	head, last []byte
	dropped    bool
}

const (
	tailSize   = 2 << 10
	stderrSize = 4 << 20 // more is no message but an attempt to keep the parent busy
)

// drain reads until the end, or an error when it is too much.
func (t *tail) drain(r io.Reader) error {
	b := make([]byte, 16<<10)
	for total := 0; ; {
		n, err := r.Read(b)
		t.add(b[:n])
		if total += n; total > stderrSize {
			return &LimitError{LimitOutput, fmt.Sprintf("%d bytes on standard error", stderrSize)}
		}
		if err != nil {
			return nil //nolint:nilerr // the child's end, or ours
		}
	}
}

func (t *tail) add(b []byte) {
	n := min(len(b), tailSize-len(t.head))
	t.head = append(t.head, b[:n]...)
	t.last = append(t.last, b[n:]...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
		t.dropped = true
	}
}

func (t *tail) String() string {
	if t.dropped {
		return clean(t.head) + "\n…\n" + clean(t.last)
	}
	return clean(append(t.head[:len(t.head):len(t.head)], t.last...))
}

// died says why a child ended that was not ended.
func died(state *os.ProcessState, said *tail, cpu time.Duration, l Limits) error {
	status, _ := state.Sys().(syscall.WaitStatus)
	if cpu >= l.CPU {
		return cpuLimit(l)
	}
	if status.Exited() && status.ExitStatus() != 0 {
		if err := said.limit(l); err != nil {
			return err
		}
	}
	e := &ExitError{Code: status.ExitStatus(), Stderr: said.String()}
	if status.Signaled() {
		e.Signal = unix.SignalName(status.Signal())
	}
	return e
}

// limit returns the limit that a child reached by Go's own words, which it also says where the kernel does not tell, or nil.
// A child that was taken over can use them too, and gains nothing by it.
func (t *tail) limit(l Limits) error {
	text := t.String()
	for _, known := range []struct {
		words string
		err   error
	}{
		{"out of memory", memoryLimit(l)},
		{"cannot allocate memory", memoryLimit(l)},
		{"thread exhaustion", &LimitError{LimitThreads, fmt.Sprintf("%d", l.Threads)}},
		{"pthread_create failed", &LimitError{LimitThreads, fmt.Sprintf("%d", l.Threads)}}, // in a binary with cgo
		{"failed to create new OS thread", &LimitError{LimitThreads, fmt.Sprintf("%d", l.Threads)}},
		{"fatal error: stack overflow", &LimitError{LimitStack, "64 MiB"}},
	} {
		if strings.Contains(text, known.words) {
			return known.err
		}
	}
	return nil
}
