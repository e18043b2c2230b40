package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// called tells that this program calls Main.
var called atomic.Bool

// Main must be called first thing in main, and in TestMain of tests that start children. It returns at once unless this process
// is a child, which it never returns from.
func Main(tasks map[string]Task) {
	called.Store(true)
	if len(os.Args) != 1 || os.Args[0] != childName {
		return
	}
	if err := child(tasks); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(3)
	}
	// The parent ends a child that has said its last word.
	for {
		time.Sleep(time.Hour)
	}
}

// child is the whole life of a child.
func child(tasks map[string]Task) error {
	// A timer makes the runtime open what it waits on for descriptors and time, while it still can.
	time.Sleep(time.Nanosecond)
	result, control := os.NewFile(resultFD, "result"), os.NewFile(controlFD, "control")
	if result == nil || control == nil {
		return fmt.Errorf("the pipes to the parent are missing")
	}
	_, payload, err := readFrame(control, only(frameSetup, 64<<20))
	if err != nil {
		return fmt.Errorf("read setup: %w", err)
	}
	var s setup
	if err := json.Unmarshal(payload, &s); err != nil {
		return fmt.Errorf("read setup: %w", err)
	}
	to := &wire{w: result}
	rep := report{Reasons: map[string]string{}}
	task, ok := tasks[s.Task]
	if !ok {
		rep.Error = fmt.Sprintf("there is no task %q", s.Task)
	}
	files, highest, err := inherited(s.Files)
	if err != nil {
		rep.Error = err.Error()
	}
	debug.SetMaxStack(64 << 20)
	debug.SetMaxThreads(s.Limits.Threads)
	debug.SetMemoryLimit(s.Limits.Memory - s.Limits.Memory/8)
	if rep.Error == "" {
		rep.Level, rep.Reasons = restrict(s, highest)
	}
	b, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	if err := to.send(frameLevel, b); err != nil {
		return err
	}
	_, args, err := readFrame(control, only(frameGo, MaxArgs))
	if err != nil {
		return fmt.Errorf("wait for the word to begin: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Limits.Wall)
	defer cancel()
	return perform(ctx, task, s, args, files, control, to)
}

// only is a limit for readFrame under which one kind may come.
func only(kind byte, size int64) func(byte) int64 {
	return func(k byte) int64 {
		if k != kind {
			return -1
		}
		return size
	}
}

// inherited takes the task's files, and closes whatever else this process got from its parent, which has no business here. It
// returns the highest descriptor that is left, too.
func inherited(n int) ([]*os.File, int, error) {
	highest := fileFD + n - 1
	files := make([]*os.File, n)
	for i := range files {
		fd := fileFD + i
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return nil, 0, fmt.Errorf("file %d is missing: %w", i, err)
		}
		if flags&unix.O_ACCMODE != unix.O_RDONLY {
			return nil, 0, fmt.Errorf("file %d is not open for reading only", i)
		}
		files[i] = os.NewFile(uintptr(fd), "file "+strconv.Itoa(i))
	}
	fds, err := descriptors()
	if err != nil {
		return nil, 0, err
	}
	for _, fd := range fds {
		if fd < fileFD+n {
			continue
		}
		if ofRuntime(fd) {
			highest = max(highest, fd)
			continue
		}
		if err := unix.Close(fd); err != nil {
			return nil, 0, fmt.Errorf("close descriptor %d: %w", fd, err)
		}
	}
	return files, highest, nil
}

// descriptors lists this process's open descriptors.
func descriptors() ([]int, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err == nil && uintptr(fd) != dir.Fd() {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// ofRuntime tells whether the Go runtime opened a descriptor, to wait on: a child needs those until its end. What came through
// exec cannot be marked to be closed by exec.
func ofRuntime(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		return false
	}
	target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && (target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]")
}
