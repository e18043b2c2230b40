package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRun(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	for _, task := range []string{"echo", "work"} {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			args := bytes.Repeat([]byte("hello "), 100_000)
			var got []byte
			out, err := Run(t.Context(), Options{
				Task: task, Args: args,
				Message: func(b []byte) error { got = append(got, b...); return nil },
			})
			if err != nil || !bytes.Equal(got, args) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if missing := out.Level.missing(Default); missing != 0 || out.Level.Landlock < 1 {
				t.Errorf("level %+v lacks %s", out.Level, missing)
			}
			if out.Messages != 1 || out.Output != int64(len(args))+messageCost || out.Memory < 1<<20 || out.CPU <= 0 || out.Wall <= 0 {
				t.Errorf("outcome %+v", out)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	limit := func(l Limit) func(error) bool {
		return func(err error) bool {
			var e *LimitError
			return errors.As(err, &e) && e.Limit == l
		}
	}
	exits := func(code int, says string) func(error) bool {
		return func(err error) bool {
			var e *ExitError
			return errors.As(err, &e) && e.Code == code && strings.Contains(e.Stderr, says)
		}
	}
	breaks := func(says string) func(error) bool {
		return func(err error) bool {
			var e *ProtocolError
			return errors.As(err, &e) && strings.Contains(e.Reason, says)
		}
	}
	for _, tc := range []struct {
		task   string
		limits Limits
		want   func(error) bool
	}{
		{"hog", Limits{Memory: 100 << 20}, limit(LimitMemory)},
		{"huge", Limits{}, limit(LimitMemory)},
		{"page tables", Limits{Memory: 100 << 20}, limit(LimitMemory)},
		{"goroutines", Limits{Memory: 100 << 20}, limit(LimitMemory)},
		{"spin", Limits{CPU: 300 * time.Millisecond}, limit(LimitCPU)},
		{"threads", Limits{}, limit(LimitThreads)},
		{"deep", Limits{}, limit(LimitStack)},
		{"sleep", Limits{Wall: 500 * time.Millisecond}, limit(LimitWall)},
		{"messages", Limits{}, func(err error) bool {
			var e *TaskError
			return errors.As(err, &e) && strings.Contains(e.Text, "no room")
		}},
		{"flood", Limits{}, limit(LimitOutput)},
		{"loud", Limits{}, limit(LimitOutput)},
		{"long frame", Limits{}, limit(LimitOutput)},
		{"requests", Limits{Read: 1 << 20}, limit(LimitRead)},
		{"big requests", Limits{Wall: time.Second}, limit(LimitWall)},
		{"nil", Limits{}, exits(2, "nil pointer dereference")},
		{"exit", Limits{}, exits(0, "")},
		{"close", Limits{}, breaks("closed")},
		{"long word", Limits{}, breaks("too long")},
		{"half frame", Limits{Wall: time.Second}, limit(LimitWall)},
		{"odd frame", Limits{}, breaks("unexpected frame")},
		{"level again", Limits{}, breaks("unexpected frame")},
		{"short request", Limits{}, breaks("3 bytes")},
		{"other file", Limits{}, breaks("file 7 of 1")},
		{"past the end", Limits{}, breaks("offset")},
		{"before it", Limits{}, breaks("offset")},
		{"too much", Limits{}, breaks("2147483648 bytes")},
		{"fail", Limits{}, func(err error) bool { var e *TaskError; return errors.As(err, &e) && e.Text == "no good:[31m red" }},
		{"not there", Limits{}, func(err error) bool {
			var e *StartError
			return errors.As(err, &e) && strings.Contains(err.Error(), "not there")
		}},
	} {
		t.Run(tc.task, func(t *testing.T) {
			t.Parallel()
			out, err := Run(t.Context(), Options{Task: tc.task, Limits: tc.limits, Ranges: []Range{{zeros{}, rangeSize}}})
			if !tc.want(err) {
				t.Errorf("got %T: %v after %+v", err, err, out)
			}
			if l := tc.limits.Memory; l > 0 && out.Memory > l+dataSlack+(64<<20) {
				t.Errorf("held %d MiB with a limit of %d", out.Memory>>20, l>>20)
			}
		})
	}
}

// zeros reads as zeros.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}

func TestStopped(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	enough := fmt.Errorf("enough: %w", io.EOF) // no end of file that Run knows
	t.Run("by the context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := Run(ctx, Options{Task: "sleep", Message: func([]byte) error { cancel(enough); return nil }})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
	})
	t.Run("before it began", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if _, err := Run(ctx, Options{Task: "sleep"}); !errors.Is(err, enough) {
			t.Error(err)
		}
	})
	t.Run("by a message's error", func(t *testing.T) {
		t.Parallel()
		_, err := Run(t.Context(), Options{Task: "sleep", Message: func([]byte) error { return enough }})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
	})
	t.Run("by the kernel", func(t *testing.T) {
		t.Parallel()
		if got := help[string](t, "killed", -1, nil); got != "*sandbox.ExitError sandbox: the child died: signal SIGKILL" {
			t.Error(got)
		}
	})
	t.Run("by a program without Main", func(t *testing.T) {
		t.Parallel()
		want := "*sandbox.StartError sandbox: start the child: this program does not call sandbox.Main at its start"
		if got := help[string](t, "not called", -1, nil); got != want {
			t.Error(got)
		}
	})
	t.Run("by long arguments", func(t *testing.T) {
		t.Parallel()
		if _, err := Run(t.Context(), Options{Task: "echo", Args: make([]byte, MaxArgs+1)}); err == nil {
			t.Error("accepted")
		}
	})
}

// TestInput reads thousands of files by descriptor and some by requests.
func TestInput(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	o := Options{Task: "sums"}
	var want string
	add := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		h := sha256.Sum256(b)
		want += hex.EncodeToString(h[:])
		return b
	}
	dir := t.TempDir()
	n := 3000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := int(min(limit.Cur, 1<<20)) / 3; n > most { // we hold each twice for a moment
		t.Logf("only %d files: this process may not open more", most)
		n = most
	}
	for i := range n {
		size := i
		if i == 0 {
			size = 1 << 20
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, add(size), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0) // more than the child may get
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.Files = append(o.Files, f)
	}
	var asked int64
	for _, size := range []int{1, 70_000, 5 << 20, 0} {
		o.Ranges = append(o.Ranges, Range{bytes.NewReader(add(size)), int64(size)})
		asked += int64(size)
	}
	var got string
	o.Message = func(b []byte) error { got += string(b); return nil }
	out, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Error("the child read something else")
	}
	if out.Read < asked {
		t.Errorf("counted %d bytes of %d", out.Read, asked)
	}
	if off, err := o.Files[0].Seek(0, io.SeekCurrent); off != 0 || err != nil {
		t.Errorf("our offset was moved to %d, %v", off, err)
	}
}

// TestMapped maps files that are larger than the child's memory may be, from a disk and from memory.
func TestMapped(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	const size = 64 << 20
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		f, err := os.CreateTemp(dir, "carat-map")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(f.Name()) }()
		defer f.Close()
		if _, err := f.Write(bytes.Repeat([]byte{1}, size)); err != nil {
			t.Fatal(err)
		}
		var got string
		out, err := Run(t.Context(), Options{
			Task: "map", Files: []*os.File{f}, Limits: Limits{Memory: 24 << 20},
			Message: func(b []byte) error { got = string(b); return nil },
		})
		if err != nil || got != strconv.Itoa(size/4096) || out.Memory > 24<<20 {
			t.Errorf("%s: %q, %+v, %v", dir, got, out, err)
		}
	}
}

// brokenFile is a file that cannot be read.
type brokenFile struct{ n int }

var errBroken = errors.New("no such luck")

func (b brokenFile) ReadAt([]byte, int64) (int, error) { return b.n, errBroken }

func TestInputFails(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	for name, r := range map[string]io.ReaderAt{"fails": brokenFile{}, "fails half way": brokenFile{10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Run(t.Context(), Options{Task: "sums", Ranges: []Range{{strings.NewReader("fine"), 4}, {r, 100}}})
			var e *InputError
			if !errors.Is(err, errBroken) || !errors.As(err, &e) || e.Range != 1 {
				t.Error(err)
			}
		})
	}
	t.Run("shorter than it says", func(t *testing.T) {
		t.Parallel()
		_, err := Run(t.Context(), Options{Task: "sums", Ranges: []Range{{strings.NewReader("short"), 100}}})
		var e *InputError
		if !errors.As(err, &e) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
	t.Run("device", func(t *testing.T) {
		t.Parallel()
		f, err := os.Open("/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = Run(t.Context(), Options{Task: "sums", Files: []*os.File{f}})
		if want := "sandbox: start the child: open file 0 again: /dev/zero is not a regular file"; err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	})
	t.Run("closed file", func(t *testing.T) {
		t.Parallel()
		f, err := os.Open("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		_, err = Run(t.Context(), Options{Task: "sums", Files: []*os.File{f}})
		var e *StartError
		if !errors.As(err, &e) {
			t.Error(err)
		}
	})
}

// waitForever runs a child that sleeps.
func waitForever() error {
	_, err := Run(context.Background(), Options{Task: "sleep", Message: func([]byte) error { fmt.Println("asleep"); return nil }})
	return err
}

func TestParentKilled(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	for user, uid := range users() {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			c := helper(t, thisBinary, "wait", uid, nil)
			said, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(said, make([]byte, len("asleep"))); err != nil {
				t.Fatal(err)
			}
			children := childrenOf(c.Process.Pid)
			if len(children) != 1 {
				t.Fatalf("the parent has children %v", children)
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := c.Wait(); !errors.As(err, &exit) {
				t.Fatal(err)
			}
			for gone := time.Now().Add(20 * time.Second); running(children[0]); runtime.Gosched() {
				if time.Now().After(gone) {
					t.Fatal("the child lives on")
				}
			}
		})
	}
}

// childrenOf lists the processes that a process has started.
func childrenOf(pid int) []int {
	names, _ := filepath.Glob("/proc/[0-9]*/status")
	var children []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if v, _ := statusLine(string(b), "PPid"); v == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			children = append(children, child)
		}
	}
	return children
}

// running tells whether a process is there and not only waits to be collected.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	state, _ := statusLine(string(b), "State")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// leaks runs children that end in every way and tells what is left of them in this process.
func leaks() string {
	count := func() (fds, goroutines int) {
		d, err := descriptors()
		if err != nil {
			panic(err)
		}
		return len(d), runtime.NumGoroutine()
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	all := func() {
		for _, task := range []string{"echo", "sums", "nil", "close", "flood", "fail", "not there", "odd frame", "exit", "sleep"} {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			_, _ = Run(ctx, Options{Task: task, Files: []*os.File{f}, Ranges: []Range{{f, 1000}}, Limits: Limits{Output: 1 << 20}})
			cancel()
		}
		_, _ = Run(context.Background(), Options{Task: "echo", Require: Default | 1<<14})
		_, _ = Run(context.Background(), Options{Task: "sums", Ranges: []Range{{brokenFile{}, 1000}}})
	}
	all()
	fds, goroutines := count()
	for range 3 {
		all()
	}
	fds2, goroutines2 := count()
	// A goroutine that has said its last word may take a moment to be gone.
	for late := time.Now().Add(20 * time.Second); goroutines2 > goroutines && time.Now().Before(late); runtime.Gosched() {
		fds2, goroutines2 = count()
	}
	if fds2 > fds || goroutines2 > goroutines {
		return fmt.Sprintf("%d descriptors became %d, %d goroutines became %d", fds, fds2, goroutines, goroutines2)
	}
	if left := childrenOf(os.Getpid()); len(left) > 0 {
		return fmt.Sprintf("children %v are left", left)
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		return fmt.Sprintf("waiting for children: %v", err)
	}
	return ""
}

func TestNothingLeft(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	if got := help[string](t, "leaks", -1, nil); got != "" {
		t.Error(got)
	}
}

func BenchmarkSpawn(b *testing.B) {
	b.Run("sandboxed", func(b *testing.B) {
		for b.Loop() {
			if _, err := Run(b.Context(), Options{Task: "echo"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain process", func(b *testing.B) {
		for b.Loop() {
			c := exec.Command("/proc/self/exe")
			c.Args = []string{helperName, "nothing"}
			if err := c.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
