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
// matters: each step takes away what only the steps before it need.
func restrict(s setup) (Level, map[string]string) {
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

	err := llsys.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	settle(NoNewPrivs, errors.Join(err, onThreads(func() error {
		v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		if err == nil && v != 1 {
			err = errors.New("not set on every thread")
		}
		return err
	})))

	abi, err := lock()
	level.Landlock = abi
	settle(Landlock, err)

	// The last two that need more than what the filter leaves: no new descriptors, and no core dump even where a program collects them.
	if limitErr == nil {
		var files unix.Rlimit
		if files, limitErr = descriptorLimit(); limitErr == nil {
			limits[unix.RLIMIT_NOFILE] = files
			limitErr = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
		}
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
	limits := map[int]unix.Rlimit{
		unix.RLIMIT_DATA:     {Cur: data, Max: data},
		unix.RLIMIT_CPU:      {Cur: cpu, Max: cpu + 1},
		unix.RLIMIT_FSIZE:    {},
		unix.RLIMIT_CORE:     {},
		unix.RLIMIT_MEMLOCK:  {},
		unix.RLIMIT_MSGQUEUE: {},
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

// descriptorLimit leaves no number beyond the highest descriptor that is open. Lower ones can be free; the filter allows no call
// that makes a descriptor.
func descriptorLimit() (unix.Rlimit, error) {
	highest := 0
	for fd := 0; fd <= highest+1024; fd++ {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		switch {
		case err == nil:
			highest = fd
		case !errors.Is(err, unix.EBADF):
			return unix.Rlimit{}, err
		}
	}
	n := uint64(highest) + 1
	return unix.Rlimit{Cur: n, Max: n}, nil
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

// lock enters a landlock domain without rules, of the newest kind that kernel and library know, and returns its version.
func lock() (int, error) {
	open := openable()
	versions := []landlock.Config{
		landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
		landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
	}
	// Not the library's best effort, which does not tell what it left out: a version is in force as a whole, or is not counted.
	kernel, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return 0, fmt.Errorf("the kernel has no landlock: %w", err)
	}
	abi := min(kernel, len(versions))
	for ; abi > 0; abi-- {
		if err = versions[abi-1].Restrict(); err == nil {
			break
		}
	}
	if abi == 0 {
		return 0, err
	}
	err = onThreads(func() error {
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
	})
	if len(open) == 0 {
		err = errors.Join(err, errors.New("found nothing to try it on"))
	}
	if err != nil {
		return 0, fmt.Errorf("version %d is not in force: %w", abi, err)
	}
	return abi, nil
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

// onThreads runs f on several threads at once and joins what they say: a restriction must hold on all of them.
func onThreads(f func() error) error {
	const n = 4
	var wg sync.WaitGroup
	together := make(chan struct{})
	ready := make(chan struct{}, n)
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready <- struct{}{}
			<-together
			errs[i] = f()
		})
	}
	for range n {
		<-ready
	}
	close(together)
	wg.Wait()
	// The same words from every thread are said once.
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	errs = slices.CompactFunc(errs, func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	return errors.Join(errs...)
}
