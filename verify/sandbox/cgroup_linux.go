package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Names of control groups below the one that was delegated.
const (
	ownGroup    = "carat"        // of this process: a group with children has no processes
	childPrefix = "carat-child-" // of children
)

// childWeight is the share of processor time that a child gets where others want some too; the default of a group is 100.
const childWeight = 50

// needed are the controllers without which a group of its own is no layer: they bound memory and tasks.
var needed = []string{"memory", "pids"}

// groups is a control group (version 2) that is this process's to divide.
type groups struct {
	dir  string
	next atomic.Int64
}

// delegated is where children get groups of their own; nil where nothing was delegated.
var delegated atomic.Pointer[groups]

// Delegate makes children start in control groups of their own, with limits that the kernel keeps, where the control group of this process
// was delegated to it: a hub calls it once, before its first child. The process moves into a group below its own. Nothing is
// changed where the group is not writable, root's without systemd's mark, shared with other processes, or without controllers for memory and tasks; then the error
// says why, and children have one layer less. Groups that a crash has left are removed.
func Delegate() error {
	dir, err := ownCgroup("/proc/self/mountinfo", "/proc/self/cgroup")
	if err != nil {
		return err
	}
	if os.Getuid() == 0 && !marked(parentGroup(dir)) {
		return errors.New("the control group is not marked as delegated")
	}
	g, err := divide(dir, os.Getpid())
	if err != nil {
		return err
	}
	delegated.Store(g)
	return nil
}

// ownCgroup finds the folder of this process's control group of version 2 from the texts of /proc.
func ownCgroup(mounts, memberships string) (string, error) {
	member, err := os.ReadFile(memberships)
	if err != nil {
		return "", err
	}
	var group string
	for line := range strings.SplitSeq(string(member), "\n") {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			group = rest
		}
	}
	if group == "" {
		return "", errors.New("there are no control groups of version 2")
	}
	f, err := os.Open(mounts)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 35 24 0:30 /root /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+2 || fields[dash+1] != "cgroup2" {
			continue
		}
		below, err := filepath.Rel(fields[3], group)
		if err != nil || below == ".." || strings.HasPrefix(below, "../") {
			continue // the mount shows another part of the tree
		}
		return filepath.Join(fields[4], below), nil
	}
	return "", errors.Join(errors.New("the control groups of version 2 are not mounted"), lines.Err())
}

// parentGroup is the group that is divided: the process's own, or the one above where it was put into ownGroup already, by an earlier
// call or by whoever started it.
func parentGroup(dir string) string {
	if filepath.Base(dir) == ownGroup {
		return filepath.Dir(dir)
	}
	return dir
}

// divide prepares a group for children.
func divide(dir string, pid int) (*groups, error) {
	parent := parentGroup(dir)
	has, err := words(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	for _, name := range needed {
		if !slices.Contains(has, name) {
			return nil, fmt.Errorf("the control group has no controller %q", name)
		}
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		if err := unix.Access(filepath.Join(parent, name), unix.W_OK); err != nil {
			return nil, fmt.Errorf("the control group is not this process's to divide: %w", err)
		}
	}
	g := &groups{dir: parent}
	if parent == dir {
		members, err := words(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return nil, err
		}
		if !slices.Equal(members, []string{strconv.Itoa(pid)}) {
			return nil, errors.New("the control group is shared with other processes")
		}
		own := filepath.Join(dir, ownGroup)
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := setting(own, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return nil, errors.Join(err, os.Remove(own))
		}
	}
	g.sweep()
	enable := "+" + strings.Join(needed, " +")
	if err := setting(parent, "cgroup.subtree_control", enable); err != nil {
		if parent == dir {
			err = errors.Join(err, setting(dir, "cgroup.procs", strconv.Itoa(pid)))
		}
		return nil, err
	}
	if slices.Contains(has, "cpu") {
		// Without it children share the processors evenly, which is no layer.
		_ = setting(parent, "cgroup.subtree_control", "+cpu")
	}
	return g, nil
}

// marked reports whether a group is one that systemd has delegated. Root can write to all groups, also to those that it has not.
func marked(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := unix.Getxattr(dir, name, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}

// sweep ends what children of a hub that crashed have left.
func (g *groups) sweep() {
	left, err := os.ReadDir(g.dir)
	if err != nil {
		return
	}
	for _, e := range left {
		if pid, _, ok := strings.Cut(strings.TrimPrefix(e.Name(), childPrefix), "-"); ok && strings.HasPrefix(e.Name(), childPrefix) && pid != strconv.Itoa(os.Getpid()) {
			(&childGroup{dir: filepath.Join(g.dir, e.Name())}).remove()
		}
	}
}

// childGroup is the control group of one child.
type childGroup struct {
	dir string
	f   *os.File // the folder, for the kernel to start the child in
}

var errNotDelegated = errors.New("no control group was delegated to this process")

// newChildGroup makes a group for a child. Errors: errNotDelegated.
func newChildGroup(l Limits, mapped int64) (*childGroup, error) {
	g := delegated.Load()
	if g == nil {
		return nil, errNotDelegated
	}
	return g.child(l, mapped)
}

// child makes a group for a child. Memory that is mapped from its files counts for the kernel, though it can take it back.
func (g *groups) child(l Limits, mapped int64) (*childGroup, error) {
	c := &childGroup{dir: filepath.Join(g.dir, fmt.Sprintf("%s%d-%d", childPrefix, os.Getpid(), g.next.Add(1)))}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, err
	}
	err := errors.Join(
		setting(c.dir, "memory.max", strconv.FormatInt(l.Memory+runtimeMemory+dataSlack+groupSlack+mapped+mapped/256, 10)),
		setting(c.dir, "pids.max", strconv.Itoa(l.Threads+groupThreads)),
		// Not every kernel has these.
		optional(setting(c.dir, "memory.swap.max", "0")),
		optional(setting(c.dir, "memory.oom.group", "1")),
		optional(setting(c.dir, "cpu.weight", strconv.Itoa(childWeight))),
	)
	if err == nil {
		c.f, err = os.OpenFile(c.dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	}
	if err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

// What a group allows beyond the limits that the child and its parent keep themselves, which say better what was too much.
const (
	groupSlack   = 64 << 20 // bytes
	groupThreads = 32
)

// holds reports whether a process is in the group.
func (c *childGroup) holds(pid int) bool {
	if c == nil {
		return false
	}
	members, err := words(filepath.Join(c.dir, "cgroup.procs"))
	return err == nil && slices.Contains(members, strconv.Itoa(pid))
}

// killed reports whether the kernel has ended a process of the group because there was no memory.
func (c *childGroup) killed() bool {
	if c == nil {
		return false
	}
	events, err := words(filepath.Join(c.dir, "memory.events"))
	if err != nil {
		return false
	}
	at := slices.Index(events, "oom_kill")
	return at >= 0 && at+1 < len(events) && events[at+1] != "0"
}

// remove ends what is in the group and removes it. A group that the kernel does not let go yet is left for the next sweep.
func (c *childGroup) remove() {
	if c == nil {
		return
	}
	if c.f != nil {
		_ = c.f.Close()
	}
	_ = setting(c.dir, "cgroup.kill", "1")
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err := os.Remove(c.dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(wait)
	}
}

func setting(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// optional drops the error which says that there is no such setting.
func optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// words reads a file of the kernel as words.
func words(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []string
	for w := range bytes.FieldsSeq(b) {
		list = append(list, string(w))
	}
	return list, nil
}
