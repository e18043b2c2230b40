package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOwnCgroup(t *testing.T) {
	t.Parallel()
	const (
		host      = "24 22 0:21 / /sys/fs/cgroup rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid    = "24 22 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n25 22 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		container = "24 22 0:21 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
	)
	for name, tt := range map[string]struct{ mounts, member, want string }{
		"a unit":                {host, "0::/system.slice/carat.service\n", "/sys/fs/cgroup/system.slice/carat.service"},
		"the root":              {host, "0::/\n", "/sys/fs/cgroup"},
		"both versions":         {hybrid, "4:memory:/x\n0::/y\n", "/sys/fs/cgroup/unified/y"},
		"in a container":        {container, "0::/docker/abc/inner\n", "/sys/fs/cgroup/inner"},
		"outside of the mount":  {container, "0::/system.slice\n", ""},
		"a name like the mount": {container, "0::/docker/abcd\n", ""},
		"version 1 only":        {hybrid, "4:memory:/x\n", ""},
		"not mounted":           {"", "0::/\n", ""},
		"no sense":              {"a b - cgroup2\n- - -\n\n", "0::/\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mounts, member := filepath.Join(dir, "mountinfo"), filepath.Join(dir, "cgroup")
			put(t, mounts, tt.mounts)
			put(t, member, tt.member)
			got, err := ownCgroup(mounts, member)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDivideRefuses leaves groups alone that are not this process's. The files stand for the kernel's.
func TestDivideRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ controllers, members, want string }{
		"no controllers":  {"cpu io\n", "7\n", `no controller "memory"`},
		"none for tasks":  {"cpu memory\n", "7\n", `no controller "pids"`},
		"other processes": {"memory pids\n", "7\n8\n", "shared with other processes"},
		"not in it":       {"memory pids\n", "8\n", "shared with other processes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, filepath.Join(dir, "cgroup.controllers"), tt.controllers)
			put(t, filepath.Join(dir, "cgroup.procs"), tt.members)
			put(t, filepath.Join(dir, "cgroup.subtree_control"), "")
			if _, err := divide(dir, 7); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(dir, ownGroup)); err == nil {
				t.Error("a group was made")
			}
		})
	}
}

func TestGroupKilled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n": true,
		"low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n":                   false,
		"oom_kill": false, "": false,
	} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "memory.events"), text)
		if got := (&childGroup{dir: dir}).killed(); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	var none *childGroup
	if none.killed() || none.holds(1) {
		t.Error("no group kills or holds")
	}
	none.remove()
}

// TestDelegated runs children in control groups of their own, where the kernel has groups of version 2 with controllers.
func TestDelegated(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	for name, uid := range users() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := freshGroup(t, uid)
			left := filepath.Join(dir, childPrefix+"0-1") // as of a hub that crashed
			if err := os.Mkdir(left, 0o755); err != nil {
				t.Fatal(err)
			}
			if uid > 0 {
				chown(t, uid, left)
			}
			f, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			c := helper(t, thisBinary, "delegated", uid, nil)
			if c.SysProcAttr == nil {
				c.SysProcAttr = new(syscall.SysProcAttr)
			}
			c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(f.Fd())
			got := ask[delegatedAnswer](t, c)
			if got.Problem != "" {
				t.Fatal(got.Problem)
			}
			if got.Level.Layers&(Default|Cgroup) != Default|Cgroup {
				t.Errorf("level %v", got.Level)
			}
			if !strings.Contains(got.Hog, "memory") || !strings.Contains(got.Threads, "threads") {
				t.Errorf("too much memory: %s; too many threads: %s", got.Hog, got.Threads)
			}
			if got.Max <= 100<<20 || got.Max > 600<<20 || got.Tasks != 256+groupThreads {
				t.Errorf("limits of the group: %d bytes, %d tasks", got.Max, got.Tasks)
			}
			if !slices.Equal(got.Left, []string{ownGroup}) {
				t.Errorf("groups that are left: %v", got.Left)
			}
		})
	}
}

type delegatedAnswer struct {
	Problem      string
	Level        Level
	Hog, Threads string // the errors
	Max          int64  // memory.max of a child
	Tasks        int64
	Left         []string
}

// delegatedHelper is a process that was started in a group of its own.
func delegatedHelper() (a delegatedAnswer) {
	if err := Delegate(); err != nil {
		a.Problem = err.Error()
		return a
	}
	if err := Delegate(); err != nil { // as of a second command in one process
		a.Problem = "again: " + err.Error()
		return a
	}
	g := delegated.Load()
	limits := Limits{Memory: 100 << 20}
	c, err := g.child(limits.withDefaults(), 0)
	if err != nil {
		a.Problem = err.Error()
		return a
	}
	number := func(name string) int64 {
		w, err := words(filepath.Join(c.dir, name))
		if err != nil || len(w) != 1 {
			return -1
		}
		n, _ := strconv.ParseInt(w[0], 10, 64)
		return n
	}
	a.Max, a.Tasks = number("memory.max"), number("pids.max")
	c.remove()
	out, err := Run(background(), Options{Task: "echo", Require: Default | Cgroup})
	if err != nil {
		a.Problem = err.Error()
		return a
	}
	a.Level = out.Level
	_, err = Run(background(), Options{Task: "hog", Limits: limits})
	a.Hog = fmt.Sprint(err)
	_, err = Run(background(), Options{Task: "threads"})
	a.Threads = fmt.Sprint(err)
	list, err := os.ReadDir(g.dir)
	if err != nil {
		a.Problem = err.Error()
	}
	for _, e := range list {
		if e.IsDir() {
			a.Left = append(a.Left, e.Name())
		}
	}
	return a
}

// freshGroup makes a group with controllers, which belongs to the user.
func freshGroup(t *testing.T, uid int) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); slices.Contains(fields, "cgroup2") && fields[3] == "/" {
			root = fields[4]
		}
	}
	has, err := words(filepath.Join(root, "cgroup.controllers"))
	if root == "" || err != nil || !slices.Contains(has, "memory") || !slices.Contains(has, "pids") || os.Getuid() != 0 {
		t.Skip("not root, or the kernel's control groups of version 2 have no controllers for memory and tasks")
	}
	for _, c := range []string{"+memory", "+pids", "+cpu"} {
		if err := setting(root, "cgroup.subtree_control", c); err != nil {
			t.Skipf("the controllers of %s cannot be handed on: %v", root, err)
		}
	}
	dir, err := os.MkdirTemp(root, "carat-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(dir, "trusted.delegate", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		(&childGroup{dir: filepath.Join(dir, ownGroup)}).remove()
		(&childGroup{dir: dir}).remove()
	})
	if uid > 0 {
		chown(t, uid, dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control"), filepath.Join(dir, "cgroup.threads"))
	}
	return dir
}

func chown(t *testing.T, uid int, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// An older program reads a report that names layers which it does not know.
func TestUnknownLayer(t *testing.T) {
	t.Parallel()
	var got Layers
	if err := json.Unmarshal([]byte(`["seccomp","moat","landlock"]`), &got); err != nil || got != Seccomp|Landlock {
		t.Errorf("%v, %v", got, err)
	}
}
