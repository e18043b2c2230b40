package child_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/internal/child"
)

// TestMain lets the test binary play the test process that is killed: it starts a child and waits for its own end.
func TestMain(m *testing.M) {
	if scratch := os.Getenv("CHILD_TEST_SCRATCH"); scratch != "" {
		p, err := child.Start(exec.Command("sleep", "600"), scratch)
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestStop(t *testing.T) {
	t.Parallel()
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := os.MkdirAll(filepath.Join(scratch, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(exec.Command("sleep", "600"), scratch)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(syscall.SIGTERM, time.Minute); err != nil {
		t.Fatal(err)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(p.Err(), &exit) {
		t.Errorf("Err = %v, want the exit by signal", p.Err())
	}
	if _, err := os.Stat(scratch); err != nil {
		t.Errorf("scratch folder: %v, want it kept", err)
	}
}

func TestStopStubborn(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do sleep 0.05; done`)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout = in
	p, err := child.Start(cmd, "")
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(syscall.SIGTERM, 50*time.Millisecond); err == nil {
		t.Error("Stop = nil for a child that had to be killed")
	}
	select {
	case <-p.Done():
	default:
		t.Error("the child is not done after Stop")
	}
}

func TestStartMissing(t *testing.T) {
	t.Parallel()
	if _, err := child.Start(exec.Command(filepath.Join(t.TempDir(), "none")), ""); err == nil {
		t.Fatal("Start = nil error for a program that is not there")
	}
}

// TestParentKilled kills the process that started a child: the child and its folder must go too.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILD_TEST_SCRATCH="+scratch)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, statErr := os.Stat(scratch)
		if errors.Is(statErr, fs.ErrNotExist) && !running(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the parent's end: child running = %t, scratch folder: %v", running(pid), statErr)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// running tells whether pid is a live process: one that has ended but was not collected yet counts as gone.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
