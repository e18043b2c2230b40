package sandbox

import (
	"errors"
	"fmt"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that a child may make with any arguments: threads that wait, reading and closing what it holds,
// memory, signals to itself, time, randomness and its end; the frequent ones first. Names that an architecture does not have are
// left out there.
var allowed = []string{
	"futex", "epoll_pwait", "nanosleep", "clock_gettime", "sched_yield",
	"read", "pread64", "write", "close", "lseek", "fstat",
	"rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "sigaltstack", "restart_syscall", "getpid", "gettid",
	"munmap", "brk", "epoll_ctl", "epoll_wait",
	"sched_getaffinity", "set_robust_list", "rseq", "clock_nanosleep", "gettimeofday", "time", "getrandom",
	"exit", "exit_group",
}

// cloneNever are flags of clone that no thread of Go or of a C library is made with: namespaces, tracing, another
// parent, a descriptor.
const cloneNever = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PTRACE | unix.CLONE_UNTRACED | unix.CLONE_PARENT |
	unix.CLONE_VFORK | unix.CLONE_PIDFD

// mapNever are flags of mmap whose memory no limit counts as a child's own, or that takes it from others.
const mapNever = unix.MAP_GROWSDOWN | unix.MAP_HUGETLB | unix.MAP_LOCKED

// conditional are the calls that are allowed with some arguments only.
func conditional(pid int) []seccomp.NameWithConditions {
	noExec := seccomp.Condition{Argument: 2, Operation: seccomp.BitsNotSet, Value: unix.PROT_EXEC}
	plainMap := seccomp.Condition{Argument: 3, Operation: seccomp.BitsNotSet, Value: mapNever}
	prctl := func(option uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: "prctl", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: option}}}
	}
	fcntl := func(command uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: "fcntl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: command}}}
	}
	madvise := func(advice uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: "madvise", Conditions: seccomp.ArgumentConditions{{Argument: 2, Operation: seccomp.Equal, Value: advice}}}
	}
	return []seccomp.NameWithConditions{
		// What allocators and readers of mapped files say about their memory, and not that it may be merged with that of others.
		madvise(unix.MADV_DONTNEED), madvise(unix.MADV_FREE),
		madvise(unix.MADV_HUGEPAGE), madvise(unix.MADV_NOHUGEPAGE), madvise(unix.MADV_COLLAPSE), madvise(unix.MADV_DONTDUMP),
		madvise(unix.MADV_NORMAL), madvise(unix.MADV_RANDOM), madvise(unix.MADV_SEQUENTIAL), madvise(unix.MADV_WILLNEED),
		// Threads, and nothing else that clone makes.
		{Name: "clone", Conditions: seccomp.ArgumentConditions{
			{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD},
			{Argument: 0, Operation: seccomp.BitsNotSet, Value: cloneNever},
		}},
		// Shared memory is not counted as anyone's own, so what is shared must be a file, which the child can only read.
		{Name: "mmap", Conditions: seccomp.ArgumentConditions{
			noExec, plainMap,
			{Argument: 3, Operation: seccomp.BitsNotSet, Value: unix.MAP_SHARED},
		}},
		{Name: "mmap", Conditions: seccomp.ArgumentConditions{
			noExec, plainMap,
			{Argument: 3, Operation: seccomp.BitsNotSet, Value: unix.MAP_ANONYMOUS},
		}},
		{Name: "mprotect", Conditions: seccomp.ArgumentConditions{noExec}},
		// Signals between the threads of this process, by which Go stops a goroutine that runs long.
		{Name: "tgkill", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: uint64(pid)}}},
		// Reading limits and flags, not setting them.
		{Name: "prlimit64", Conditions: seccomp.ArgumentConditions{
			{Argument: 0, Operation: seccomp.Equal, Value: 0},
			{Argument: 2, Operation: seccomp.Equal, Value: 0},
		}},
		prctl(unix.PR_GET_NO_NEW_PRIVS), prctl(unix.PR_GET_SECCOMP),
		fcntl(unix.F_GETFL), fcntl(unix.F_GETFD),
	}
}

// filter installs the allow-list on all threads: every other call fails with EPERM.
func filter() error {
	if _, err := arch.GetInfo(""); err != nil {
		return fmt.Errorf("no filter for this architecture: %w", err)
	}
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy(unix.Getpid())})
	if err != nil {
		return err
	}
	// The kernel reports a thread that it could not put under the filter in a way that the library does not see; so try.
	return onThreads(func() []error { return []error{filtered()} })[0]
}

// filtered tries what the filter forbids and what never fails without one.
func filtered() error {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("not in force: %w", err)
	}
	if mode != 2 {
		return fmt.Errorf("not in force: mode %d", mode)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); errno != unix.EPERM {
		return errors.New("not in force: a call that is not on the list went through")
	}
	if _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); !errors.Is(err, unix.EPERM) {
		return errors.New("not in force: a socket could be made")
	}
	return nil
}

func policy(pid int) seccomp.Policy {
	known := map[string]bool{}
	if info, err := arch.GetInfo(""); err == nil {
		for name := range info.SyscallNames {
			known[name] = true
		}
	}
	groups := []seccomp.SyscallGroup{
		{
			Action:             seccomp.ActionAllow,
			Names:              slices.DeleteFunc(slices.Clone(allowed), func(name string) bool { return !known[name] }),
			NamesWithCondtions: slices.DeleteFunc(conditional(pid), func(c seccomp.NameWithConditions) bool { return !known[c.Name] }),
		},
	}
	if known["clone3"] {
		// The filter cannot look into clone3's arguments. As if the kernel did not have it, a C library falls back to clone.
		groups = append(groups, seccomp.SyscallGroup{
			Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS),
			Names:  []string{"clone3"},
		})
	}
	return seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups}
}
