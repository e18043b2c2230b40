package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/verify"
)

// childrenOf lists the processes that a process has started and not yet collected.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		p, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(p)) {
			all = append(all, must(strconv.Atoi(child))(t))
		}
	}
	return all
}

// commandOf returns the arguments of a process, or nothing when it is gone.
func commandOf(pid int) string {
	p, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(p)
}

// cancelledWhileVerifying takes the tag away while the sandbox's process runs. That one is
// halted, so that it cannot be done before.
func cancelledWhileVerifying(t *testing.T, bin program) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells in /proc which processes a process has started")
	}
	u := user{t.TempDir()}
	push := func(s serving, tag string) *peer {
		host := strings.TrimPrefix(s.url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, host+"/demo/m:"+tag)
		return newPeer(t, s.url, "demo/m")
	}
	// A hub that verifies nothing does the inspection, and with it all that it needs processes for but verifications.
	s := bin.start(t, "--verify-workers", "0")
	p := push(s, "v1")
	digest := p.want(t, http.StatusOK, "", http.MethodHead, "manifests/v1", nil).header.Get("Docker-Content-Digest")
	eventually(t, "the version is inspected", func() bool {
		return strings.Contains(u.must(t, "", "inspect", strings.TrimPrefix(s.url, "http://")+"/demo/m:v1"), "llama")
	})
	if err := syscall.Kill(s.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.Done()

	s = bin.start(t, "--verify-workers", "1")
	p = newPeer(t, s.url, "demo/m")
	var halted int
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); halted == 0; <-tick.C {
		for _, pid := range childrenOf(t, s.Pid()) {
			if c := commandOf(pid); c != "" && c != commandOf(s.Pid()) { // halted between fork and exec, it would halt its parent too
				halted = pid
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no process for the verification\n%s", read(t, s.log))
		}
	}
	if err := syscall.Kill(halted, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the verification runs", func() bool { return p.verifications(t, digest)[0].State == verify.StateRunning })
	p.want(t, http.StatusAccepted, "", http.MethodDelete, "manifests/v1", nil)
	if got := p.verifications(t, digest); len(got) != 1 || got[0].State != verify.StateCancelled {
		t.Errorf("without a tag: %+v", got)
	}
	eventually(t, "the process is gone", func() bool { return len(childrenOf(t, s.Pid())) == 0 })
	p = push(s, "v2") // the only worker is free again
	eventually(t, "the version is verified after all", func() bool {
		got := p.verifications(t, digest)
		return len(got) == 2 && got[0].State == verify.StatePassed && got[1].State == verify.StateCancelled
	})
}
