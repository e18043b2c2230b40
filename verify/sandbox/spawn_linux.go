package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user and group that own nothing by convention.
const nobody = 65534

// form is a way of starting a child. Which of them a system allows is found by trying.
type form struct {
	attr    syscall.SysProcAttr
	ownUser bool // the kernel counts the child's processes apart from those of others
}

// allSpaces are the namespaces that a child gets beside that for users.
const allSpaces = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | pidSpace

// forms are the ways of starting a child, the strongest first.
func forms(uid, gid int) []form {
	attr := func(flags uintptr) syscall.SysProcAttr {
		return syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: flags}
	}
	mapped := func(uid, gid int) syscall.SysProcAttr {
		a := attr(unix.CLONE_NEWUSER | allSpaces)
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}}
		return a
	}
	if uid != 0 {
		return []form{{mapped(uid, gid), true}, {attr: attr(0)}}
	}
	// Root becomes nobody, within and without a user namespace. Where nobody may not execute this binary, root stays root outside
	// of a namespace in which it is not.
	drop := func(a syscall.SysProcAttr) syscall.SysProcAttr {
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		a.GidMappingsEnableSetgroups = len(a.GidMappings) > 0
		return a
	}
	return []form{
		{drop(mapped(nobody, nobody)), true},
		{attr: drop(attr(allSpaces))},
		{attr: drop(attr(0))},
		{mapped(uid, gid), true},
		{attr: attr(allSpaces)},
		{attr: attr(0)},
	}
}

// strongest remembers the first form that this system has allowed.
var strongest struct {
	sync.Mutex
	form int
}

// process is a child that runs.
type process struct {
	*os.Process
	form   form
	ending chan struct{} // closed when it has ended, before its number can become another's
	exited chan struct{} // closed when it has ended and state is there
	state  *os.ProcessState
	err    error
}

// spawn starts this binary as a child with the descriptors that it shall have, in the strongest form that the system allows, and in a
// control group if there is one and the kernel can.
func spawn(files []*os.File, group *childGroup) (*process, error) {
	strongest.Lock()
	first := strongest.form
	strongest.Unlock()
	all := forms(os.Getuid(), os.Getgid())
	var errs []error
	lasting := true
	for i := first; i < len(all); i++ {
		p, err := start(files, all[i], group)
		if err != nil && group != nil {
			p, err = start(files, all[i], nil)
		}
		if err == nil {
			if lasting {
				strongest.Lock()
				strongest.form = i
				strongest.Unlock()
			}
			return p, nil
		}
		errs = append(errs, err)
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			// Not allowed here, now or later.
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
			lasting = false // too many namespaces at this time
		default:
			return nil, err
		}
	}
	return nil, errors.Join(errs...)
}

// start starts a child in one form. The kernel kills a child when the thread that started it ends, so that thread waits for it. It
// is no thread for anything else afterwards: it gives up new privileges before the child's first instruction, so that no file
// capability of this binary is the child's.
func start(files []*os.File, f form, group *childGroup) (*process, error) {
	p := &process{form: f, ending: make(chan struct{}), exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			started <- fmt.Errorf("no new privileges: %w", err)
			return
		}
		attr := f.attr
		if group != nil {
			attr.UseCgroupFD, attr.CgroupFD = true, int(group.f.Fd())
		}
		var err error
		p.Process, err = os.StartProcess("/proc/self/exe", []string{childName}, &os.ProcAttr{
			Dir:   "/",
			Env:   environment(),
			Files: files,
			Sys:   &attr,
		})
		started <- err
		if err != nil {
			return
		}
		for {
			err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		close(p.ending)
		// Whatever is left of its group goes too, while the number is its own.
		_ = unix.Kill(-p.Pid, unix.SIGKILL)
		p.state, p.err = p.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// environment is all that a child has in its environment.
func environment() []string {
	return []string{
		fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)),
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0", // no descriptor on the control group's files
		"GOTRACEBACK=single",
	}
}

// reopen opens a regular file again for reading only, with an offset and flags of its own. One that cannot be opened again is
// handed on as it is if it is open for reading only.
func reopen(f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", f.Name())
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	again := -1
	var inner error
	err = conn.Control(func(fd uintptr) {
		if again, inner = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0); inner == nil {
			return
		}
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
			again, inner = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if err = errors.Join(err, inner); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(again), f.Name()), nil
}
