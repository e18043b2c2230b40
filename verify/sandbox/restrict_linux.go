package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// dataSlack is what RLIMIT_DATA allows beyond Limits.Memory: Go takes address space in pieces of 64 MiB long before it uses it.
const dataSlack = 128 << 20

// restrict puts every layer on this process that it can have, and tells which of them hold and why others do not. The order
// matters: each step takes away what only the steps before it need. Highest is the highest descriptor that is open.
func restrict(s setup, highest int) (Level, map[string]string) {
	var level Level
	reasons := map[string]string{}
	settle := func(l Layers, err error) {
		if err != nil {
			reasons[l.String()] = err.Error()
			return
		}
		level.Layers |= l
	}

	for _, sp := range spaces {
		settle(sp.layer, ownSpace(s, sp.name))
	}
	limits, limitErr := resources(s)

	open := openable()
	abi, lockErr := lock()
	var err error
	if lockErr != nil { // else landlock has done this
		err = llsys.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	found := onThreads(func() []error { return []error{noNewPrivs(), locked(abi, open)} })
	settle(NoNewPrivs, errors.Join(err, found[0]))
	lockErr = errors.Join(lockErr, found[1])
	if lockErr == nil {
		level.Landlock = abi
	}
	settle(Landlock, lockErr)

	// The last two that need more than what the filter leaves: no new descriptors, and no core dump even where a program collects them.
	if limitErr == nil {
		files := unix.Rlimit{Cur: uint64(highest) + 1, Max: uint64(highest) + 1}
		limits[unix.RLIMIT_NOFILE] = files
		limitErr = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		limitErr = errors.Join(limitErr, fmt.Errorf("no core dump: %w", err))
	}

	settle(Seccomp, filter())

	if limitErr == nil {
		limitErr = inForce(limits)
	}
	settle(Rlimits, limitErr)
	return level, reasons
}

// ownSpace tells whether this process is in another namespace of a kind than its parent.
func ownSpace(s setup, name string) error {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+name, &st); err != nil {
		return err
	}
	parent, ok := s.Spaces[name]
	if !ok {
		return errors.New("the parent's is not known")
	}
	if parent == st.Ino {
		return errors.New("shared with the parent")
	}
	return nil
}

// resources sets the limits that can be set at the start, and returns them.
func resources(s setup) (map[int]unix.Rlimit, error) {
	base, err := mappedData()
	if err != nil {
		return nil, err
	}
	cpu := seconds(s.Limits.CPU)
	data := uint64(base + s.Limits.Memory + dataSlack)
	const signals = 512
	limits := map[int]unix.Rlimit{
		unix.RLIMIT_DATA:     {Cur: data, Max: data},
		unix.RLIMIT_CPU:      {Cur: cpu, Max: cpu + 1},
		unix.RLIMIT_FSIZE:    {},
		unix.RLIMIT_CORE:     {},
		unix.RLIMIT_MEMLOCK:  {},
		unix.RLIMIT_MSGQUEUE: {},
		// Signals that wait to be handled take the kernel's memory.
		unix.RLIMIT_SIGPENDING: {Cur: signals, Max: signals},
	}
	if s.OwnUser {
		n := uint64(s.Limits.Threads) + 8
		limits[unix.RLIMIT_NPROC] = unix.Rlimit{Cur: n, Max: n}
	}
	for what, l := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(what, &now); err != nil {
			return nil, err
		}
		l.Max = min(l.Max, now.Max)
		l.Cur = min(l.Cur, l.Max)
		limits[what] = l
		if err := unix.Setrlimit(what, &l); err != nil {
			return nil, fmt.Errorf("set resource limit %d: %w", what, err)
		}
	}
	return limits, nil
}

// mappedData is how much writable memory of its own this process has mapped, in bytes, as RLIMIT_DATA counts it.
func mappedData() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	n, ok := statusKB(string(b), "VmData")
	if !ok {
		return 0, errors.New("no VmData in /proc/self/status")
	}
	return n, nil
}

// statusKB reads one size of a /proc/PID/status, in bytes.
func statusKB(status, key string) (int64, bool) {
	v, ok := statusLine(status, key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
	return n << 10, err == nil
}

func statusLine(status, key string) (string, bool) {
	for line := range strings.Lines(status) {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// inForce tells whether the kernel has the limits that were set.
func inForce(limits map[int]unix.Rlimit) error {
	for what, want := range limits {
		var got unix.Rlimit
		if err := unix.Prlimit(0, what, nil, &got); err != nil {
			return fmt.Errorf("read resource limit %d: %w", what, err)
		}
		if got != want {
			return fmt.Errorf("resource limit %d is %d and not %d", what, got.Cur, want.Cur)
		}
	}
	return nil
}

// noNewPrivs tells whether this thread can gain no rights.
func noNewPrivs() error {
	v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err == nil && v != 1 {
		err = errors.New("not set on every thread")
	}
	return err
}

// lock enters a landlock domain without rules, of the newest kind that kernel and library know, and returns its version.
func lock() (int, error) {
	versions := []landlock.Config{
		landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
		landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
	}
	// Not the library's best effort, which does not tell what it left out: a version is in force as a whole, or is not counted.
	kernel, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return 0, fmt.Errorf("the kernel has no landlock: %w", err)
	}
	for abi := min(kernel, len(versions)); abi > 0; abi-- {
		version := versions[abi-1]
		if abi >= 7 {
			// What locked tries is nothing for the system's audit log.
			version = version.DisableLoggingForOriginatingProcess()
		}
		if err = version.Restrict(); err == nil {
			return abi, nil
		}
	}
	return 0, err
}

// locked tries what landlock forbids: opening what could be opened before, and TCP since version 4.
func locked(abi int, open []string) error {
	if abi == 0 {
		return nil // there is a reason already
	}
	if len(open) == 0 {
		return errors.New("found nothing to try it on")
	}
	for _, name := range open {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		if !errors.Is(err, unix.EACCES) {
			return unexpected("opening "+name, err)
		}
	}
	if abi >= 4 {
		return tcpRefused()
	}
	return nil
}

func unexpected(what string, err error) error {
	if err == nil {
		return errors.New(what + " succeeded")
	}
	return fmt.Errorf("%s failed in another way: %w", what, err)
}

// openable are names that this process can open, to see that landlock forbids it.
func openable() []string {
	return slices.DeleteFunc([]string{"/", "/proc/self/status", "/dev/null"}, func(name string) bool {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err != nil
	})
}

// tcpRefused tries what landlock forbids since version 4.
func tcpRefused() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil //nolint:nilerr // without sockets there is nothing to forbid
	}
	defer func() { _ = unix.Close(fd) }()
	to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, to); !errors.Is(err, unix.EACCES) {
		return unexpected("connecting", err)
	}
	if err := unix.Bind(fd, to); !errors.Is(err, unix.EACCES) {
		return unexpected("binding", err)
	}
	return nil
}

// onThreads tries things on several threads, for a restriction must hold on all of them, and returns the first error of each.
func onThreads(try func() []error) []error {
	const n = 3
	var wg sync.WaitGroup
	ready, together := make(chan struct{}, n), make(chan struct{})
	all := make([][]error, n)
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready <- struct{}{}
			<-together
			all[i] = try()
		})
	}
	for range n {
		<-ready
	}
	close(together)
	wg.Wait()
	first := all[0]
	for _, errs := range all[1:] {
		for i, err := range errs {
			if first[i] == nil {
				first[i] = err
			}
		}
	}
	return first
}
