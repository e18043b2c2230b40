package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ground is what the acts of a hostile child aim at: things of the parent that exist, so that only the sandbox can make them fail.
type ground struct {
	Parent   int    `json:"parent"`   // the parent's process number
	Secret   uint64 `json:"secret"`   // an address in the parent's memory
	TCP      string `json:"tcp"`      // where a listener of the parent listens
	UDP      string `json:"udp"`      //
	Unix     string `json:"unix"`     // a socket of the parent, by path
	Abstract string `json:"abstract"` // one without a path
	Dir      string `json:"dir"`      // a folder that everybody may write to
	Stray    int    `json:"stray"`    // a descriptor of the parent that was left open for every child
	NoFilter bool   `json:"no_filter"`
}

// act is something that a hostile child tries. It must fail with one of the errors in want; harmless ones are also tried
// outside of the sandbox, where they must succeed.
type act struct {
	name     string
	try      func() error
	want     []unix.Errno
	harmless bool
}

var (
	scratch [4096]byte
	path    = [...]byte{'/', 'e', 't', 'c', '/', 'p', 'a', 's', 's', 'w', 'd', 0}
)

// call makes a system call with up to six arguments.
func call(number uintptr, args ...uintptr) func() error {
	var a [6]uintptr
	copy(a[:], args)
	return func() error {
		_, _, errno := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		runtime.KeepAlive(&scratch)
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// acts are those of a child whose first file is the model.
func acts(g ground) []act {
	filter := []unix.Errno{unix.EPERM}
	buf, name := uintptr(unsafe.Pointer(&scratch)), uintptr(unsafe.Pointer(&path))
	at := ^uintptr(99) // AT_FDCWD
	model, parent := uintptr(fileFD), uintptr(g.Parent)
	all := make([]act, 0, 160)
	add := func(name string, harmless bool, try func() error, want ...unix.Errno) {
		if len(want) == 0 {
			want = filter
		}
		all = append(all, act{name, try, want, harmless})
	}
	raw := func(name string, number uintptr, args ...uintptr) { add(name, false, call(number, args...)) }

	// Files.
	opens := func(name string) func() error {
		return func() error {
			f, err := os.Open(name)
			if err == nil {
				err = f.Close()
			}
			return err
		}
	}
	add("read /etc/passwd", true, opens("/etc/passwd"))
	add("list /", true, opens("/"))
	add("open /dev/zero", true, opens("/dev/zero"))
	add("open /proc/self/environ", true, opens("/proc/self/environ"))
	add("open /proc/self/exe", true, opens("/proc/self/exe"))
	add("open /proc/self/fd", true, opens("/proc/self/fd"))
	add("open the parent's environment", false, opens(fmt.Sprintf("/proc/%d/environ", g.Parent)))
	add("open the parent's memory", false, opens(fmt.Sprintf("/proc/%d/mem", g.Parent)))
	add("look for the database's socket", true, func() error { _, err := os.Stat(g.Unix); return err })
	add("write a file", true, func() error { return os.WriteFile(g.Dir+"/written", []byte("x"), 0o600) })
	add("make a folder", true, func() error { return os.Mkdir(g.Dir+"/made", 0o700) })
	add("make a link", true, func() error { return os.Symlink("/etc/passwd", g.Dir+"/link") })
	add("rename", true, func() error { return os.Rename(g.Dir+"/present", g.Dir+"/renamed") })
	add("remove", true, func() error { return os.Remove(g.Dir + "/doomed") })
	add("change the folder", true, func() error { return os.Chdir(g.Dir) })
	raw("openat2", unix.SYS_OPENAT2, at, name, buf, 24)
	raw("chroot", unix.SYS_CHROOT, name)
	raw("fchmodat", unix.SYS_FCHMODAT, at, name, 0o777)
	raw("fchownat", unix.SYS_FCHOWNAT, at, name, 0, 0)
	raw("mknodat", unix.SYS_MKNODAT, at, name, unix.S_IFCHR, 0)
	raw("linkat", unix.SYS_LINKAT, at, name, at, name, 0)
	raw("readlinkat", unix.SYS_READLINKAT, at, name, buf, 100)
	raw("faccessat", unix.SYS_FACCESSAT, at, name, 0)
	raw("statx", unix.SYS_STATX, at, name, 0, 0, buf)
	raw("getcwd", unix.SYS_GETCWD, buf, 4096)
	raw("truncate", unix.SYS_TRUNCATE, name, 0)
	raw("setxattr", unix.SYS_SETXATTR, name, name, buf, 1, 0)
	raw("inotify_init1", unix.SYS_INOTIFY_INIT1, 0)
	raw("fanotify_init", unix.SYS_FANOTIFY_INIT, 0, 0)
	raw("name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, at, name, buf, buf, 0)
	raw("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, at, buf, 0)
	raw("mount", unix.SYS_MOUNT, name, name, name, 0, 0)
	raw("umount2", unix.SYS_UMOUNT2, name, 0)
	raw("pivot_root", unix.SYS_PIVOT_ROOT, name, name)
	raw("fsopen", unix.SYS_FSOPEN, name, 0)
	raw("open_tree", unix.SYS_OPEN_TREE, at, name, 0)
	raw("move_mount", unix.SYS_MOVE_MOUNT, at, name, at, name, 0)

	// The network.
	dials := func(network, address string) func() error {
		return func() error {
			c, err := net.Dial(network, address)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("hello"))
			return err
		}
	}
	listens := func(network, address string) func() error {
		return func() error {
			l, err := net.Listen(network, address)
			if err == nil {
				err = l.Close()
			}
			return err
		}
	}
	add("connect by TCP", true, dials("tcp", g.TCP))
	add("send by UDP", true, dials("udp", g.UDP))
	add("connect to a socket by path", true, dials("unix", g.Unix))
	add("connect to an abstract socket", true, dials("unix", "@"+g.Abstract))
	add("listen by TCP", true, listens("tcp", "127.0.0.1:0"))
	add("listen by path", true, listens("unix", g.Dir+"/listen"))
	raw("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, buf)
	raw("packet socket", unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0)
	raw("netlink socket", unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0)
	raw("vsock", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	raw("multipath TCP", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	raw("connect", unix.SYS_CONNECT, resultFD, buf, 16)
	raw("sendmsg", unix.SYS_SENDMSG, resultFD, buf, 0)
	raw("recvmsg", unix.SYS_RECVMSG, resultFD, buf, 0)

	// Processes.
	raw("execve", unix.SYS_EXECVE, name, 0, 0)
	raw("execveat", unix.SYS_EXECVEAT, at, name, 0, 0, 0)
	add("start a program", true, func() error {
		p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
		if err != nil {
			return err
		}
		if state, err := p.Wait(); err != nil || !state.Success() {
			return errors.Join(err, unix.EACCES) // it could not be executed, and could not say so
		}
		return nil
	})
	raw("fork", unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0)
	raw("vfork", unix.SYS_CLONE, unix.CLONE_VFORK|unix.CLONE_VM|uintptr(unix.SIGCHLD), 0, 0, 0, 0)
	raw("clone into a network namespace", unix.SYS_CLONE, unix.CLONE_THREAD|unix.CLONE_VM|unix.CLONE_SIGHAND|unix.CLONE_NEWNET, 0, 0, 0, 0)
	raw("clone with a descriptor", unix.SYS_CLONE, unix.CLONE_THREAD|unix.CLONE_VM|unix.CLONE_SIGHAND|unix.CLONE_PIDFD, 0, buf, 0, 0)
	raw("clone as a sibling", unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0)
	add("clone3", false, call(unix.SYS_CLONE3, buf, 88), unix.ENOSYS)
	raw("ptrace attach", unix.SYS_PTRACE, unix.PTRACE_SEIZE, parent, 0, 0)
	raw("ptrace traceme", unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0)
	iov := []unix.RemoteIovec{{Base: uintptr(g.Secret), Len: 16}}
	add("read the parent's memory", false, func() error {
		local := []unix.Iovec{{Base: &scratch[0], Len: 16}}
		_, err := unix.ProcessVMReadv(g.Parent, local, iov, 0)
		return err
	})
	add("write the parent's memory", false, func() error {
		local := []unix.Iovec{{Base: &scratch[0], Len: 1}}
		_, err := unix.ProcessVMWritev(g.Parent, local, iov, 0)
		return err
	})
	raw("kill the parent", unix.SYS_KILL, parent, 0)
	raw("kill everything", unix.SYS_KILL, ^uintptr(0), 0)
	raw("signal a thread of the parent", unix.SYS_TGKILL, parent, parent, 0)
	raw("tkill", unix.SYS_TKILL, parent, 0)
	raw("rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO, parent, 0, buf)
	raw("pidfd_open", unix.SYS_PIDFD_OPEN, parent, 0)
	raw("pidfd_getfd", unix.SYS_PIDFD_GETFD, model, 0, 0)
	raw("pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, model, 0, 0, 0)
	raw("process_madvise", unix.SYS_PROCESS_MADVISE, model, buf, 1, 0, 0)
	raw("kcmp", unix.SYS_KCMP, parent, parent, 0, 0, 0)
	raw("getppid", unix.SYS_GETPPID)
	raw("setsid", unix.SYS_SETSID)
	raw("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	raw("setns", unix.SYS_SETNS, model, 0)
	raw("setuid", unix.SYS_SETUID, 0)
	raw("setresgid", unix.SYS_SETRESGID, 0, 0, 0)
	raw("capset", unix.SYS_CAPSET, buf, buf)
	raw("raise a limit", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA, buf, 0)
	raw("read the parent's limits", unix.SYS_PRLIMIT64, parent, unix.RLIMIT_DATA, 0, buf)
	raw("setpriority", unix.SYS_SETPRIORITY, 0, 0, 0)
	raw("sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, 0, 8, buf)
	raw("sched_setscheduler", unix.SYS_SCHED_SETSCHEDULER, 0, 0, buf)
	raw("wait4", unix.SYS_WAIT4, ^uintptr(0), 0, unix.WNOHANG, 0)
	raw("personality", unix.SYS_PERSONALITY, 0)
	raw("prctl dumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	raw("prctl memory map", unix.SYS_PRCTL, unix.PR_SET_MM, unix.PR_SET_MM_BRK, 0)
	raw("prctl death signal", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0)
	raw("prctl capabilities", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, 0)
	raw("prctl name", unix.SYS_PRCTL, unix.PR_SET_NAME, name)
	raw("another filter", unix.SYS_SECCOMP, 1, 0, buf)
	raw("landlock_create_ruleset", unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)

	// The kernel.
	raw("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, buf)
	raw("io_uring_enter", unix.SYS_IO_URING_ENTER, model, 0, 0, 0, 0, 0)
	raw("userfaultfd", unix.SYS_USERFAULTFD, 1)
	raw("memfd_create", unix.SYS_MEMFD_CREATE, name, 0)
	raw("memfd_secret", unix.SYS_MEMFD_SECRET, 0)
	raw("bpf", unix.SYS_BPF, 0, buf, 64)
	raw("perf_event_open", unix.SYS_PERF_EVENT_OPEN, buf, 0, 0, 0, 0)
	raw("add_key", unix.SYS_ADD_KEY, name, name, buf, 1, 0)
	raw("keyctl", unix.SYS_KEYCTL, 0, 0, 0)
	raw("request_key", unix.SYS_REQUEST_KEY, name, name, 0, 0)
	raw("swapon", unix.SYS_SWAPON, name, 0)
	raw("reboot", unix.SYS_REBOOT, 0, 0, 0, 0)
	raw("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	raw("init_module", unix.SYS_INIT_MODULE, buf, 1, name)
	raw("finit_module", unix.SYS_FINIT_MODULE, model, name, 0)
	raw("delete_module", unix.SYS_DELETE_MODULE, name, 0)
	raw("sethostname", unix.SYS_SETHOSTNAME, name, 1)
	raw("clock_settime", unix.SYS_CLOCK_SETTIME, 0, buf)
	raw("adjtimex", unix.SYS_ADJTIMEX, buf)
	raw("syslog", unix.SYS_SYSLOG, 3, buf, 100)
	raw("acct", unix.SYS_ACCT, name)
	raw("quotactl", unix.SYS_QUOTACTL, 0, name, 0, buf)
	raw("uname", unix.SYS_UNAME, buf)
	raw("sysinfo", unix.SYS_SYSINFO, buf)
	raw("shmget", unix.SYS_SHMGET, 0, 4096, 0o600)
	raw("msgget", unix.SYS_MSGGET, 0, 0o600)
	raw("semget", unix.SYS_SEMGET, 0, 1, 0o600)
	raw("mq_open", unix.SYS_MQ_OPEN, name, 0, 0, 0)
	raw("timer_create", unix.SYS_TIMER_CREATE, 0, 0, buf)
	raw("setitimer", unix.SYS_SETITIMER, 0, buf, 0)

	// Descriptors: new ones, the model's, and one that was never handed over.
	raw("pipe2", unix.SYS_PIPE2, buf, 0)
	raw("dup", unix.SYS_DUP, model)
	raw("dup3", unix.SYS_DUP3, model, 100, 0)
	raw("fcntl dup", unix.SYS_FCNTL, model, unix.F_DUPFD, 0)
	raw("fcntl flags", unix.SYS_FCNTL, model, unix.F_SETFL, unix.O_APPEND)
	raw("fcntl owner", unix.SYS_FCNTL, model, unix.F_SETOWN, parent)
	raw("fcntl lease", unix.SYS_FCNTL, model, unix.F_SETLEASE, 0)
	raw("fcntl pipe size", unix.SYS_FCNTL, resultFD, unix.F_SETPIPE_SZ, 1<<20)
	raw("eventfd2", unix.SYS_EVENTFD2, 0, 0)
	raw("epoll_create1", unix.SYS_EPOLL_CREATE1, 0)
	raw("signalfd4", unix.SYS_SIGNALFD4, ^uintptr(0), buf, 8, 0)
	raw("timerfd_create", unix.SYS_TIMERFD_CREATE, 0, 0)
	raw("ioctl", unix.SYS_IOCTL, 0, unix.TIOCGWINSZ, buf)
	raw("splice", unix.SYS_SPLICE, model, 0, resultFD, 0, 1, 0)
	raw("vmsplice", unix.SYS_VMSPLICE, resultFD, buf, 1, 0)
	raw("sendfile", unix.SYS_SENDFILE, resultFD, model, 0, 1)
	raw("copy_file_range", unix.SYS_COPY_FILE_RANGE, model, 0, model, 0, 1, 0)
	raw("flock", unix.SYS_FLOCK, model, unix.LOCK_EX)
	raw("fchmod", unix.SYS_FCHMOD, model, 0o777)
	raw("fchown", unix.SYS_FCHOWN, model, 0, 0)
	raw("fallocate", unix.SYS_FALLOCATE, model, 0, 0, 1)
	raw("fsync", unix.SYS_FSYNC, model)
	raw("ftruncate", unix.SYS_FTRUNCATE, model, 0)
	raw("pwrite the model", unix.SYS_PWRITE64, model, buf, 1, 0)
	raw("list by descriptor", unix.SYS_GETDENTS64, model, buf, 4096)
	add("write the model", false, call(unix.SYS_WRITE, model, buf, 1), unix.EBADF)
	add("read a stray descriptor", false, call(unix.SYS_READ, uintptr(g.Stray), buf, 1), unix.EBADF)
	add("read the result's pipe", false, call(unix.SYS_READ, resultFD, buf, 1), unix.EBADF)
	add("write the parent's pipe", false, call(unix.SYS_WRITE, controlFD, buf, 1), unix.EBADF)

	// Memory.
	maps := func(prot, flags, fd uintptr) func() error { return call(unix.SYS_MMAP, 0, 4096, prot, flags, fd, 0) }
	none := ^uintptr(0)
	add("map the model to write", false, maps(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, model), unix.EACCES)
	add("map the model to execute", false, maps(unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE, model))
	add("map memory to execute", false, maps(unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, none))
	add("map shared memory", false, maps(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS, none))
	add("map a stack", false, maps(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_GROWSDOWN, none))
	add("map huge pages", false, maps(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB, none))
	raw("make memory executable", unix.SYS_MPROTECT, buf&^4095, 4096, unix.PROT_READ|unix.PROT_EXEC)
	raw("let memory be merged", unix.SYS_MADVISE, buf&^4095, 4096, unix.MADV_MERGEABLE)
	raw("poison memory", unix.SYS_MADVISE, buf&^4095, 4096, unix.MADV_HWPOISON)
	raw("pkey_mprotect", unix.SYS_PKEY_MPROTECT, buf&^4095, 4096, unix.PROT_READ, 0)
	raw("mremap", unix.SYS_MREMAP, buf&^4095, 4096, 8192, 0)
	raw("mlock", unix.SYS_MLOCK, buf&^4095, 4096)
	raw("remap_file_pages", unix.SYS_REMAP_FILE_PAGES, buf&^4095, 4096, 0, 0, 0)
	return append(all, machineActs()...)
}

// outcome is what became of an act: "", or the error with its number in it.
func (a act) outcome() string {
	err := a.try()
	if err == nil {
		return "succeeded"
	}
	for _, w := range a.want {
		if errors.Is(err, w) {
			return ""
		}
	}
	return err.Error()
}
