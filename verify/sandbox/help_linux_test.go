package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// A helper is this test binary executed as an ordinary program, for what a test cannot do in its own process: be another user, be
// killed, be on a poorer kernel, or have nothing else beside it. It reads JSON and writes JSON.
var helpers = map[string]func(in []byte) any{
	"nothing": func([]byte) any { return nil },
	"plain":   func(in []byte) any { return plainly(parse[ground](in)) },
	"probe": func(in []byte) any {
		p := parse[poor](in)
		p.apply()
		return probe(p.Ground, p.Require)
	},
	"wait":      func([]byte) any { return fmt.Sprint(waitForever()) },
	"leaks":     func([]byte) any { return leaks() },
	"delegated": func([]byte) any { return delegatedHelper() },
	"poor": func(in []byte) any {
		p := parse[poor](in)
		p.apply()
		return runOnce(p.Require)
	},
	"not called": func([]byte) any {
		called.Store(false)
		_, err := Run(background(), Options{Task: "echo"})
		return fmt.Sprintf("%T %v", err, err)
	},
	"killed": func([]byte) any {
		poor{NoSpaces: true}.apply()
		_, err := Run(background(), Options{Task: "kill itself"})
		return fmt.Sprintf("%T %v", err, err)
	},
}

const helperName = "carat sandbox helper"

// helpMain is the main of a helper; elsewhere it returns.
func helpMain() {
	if len(os.Args) != 2 || os.Args[0] != helperName {
		return
	}
	var in bytes.Buffer
	if _, err := in.ReadFrom(os.Stdin); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(helpers[os.Args[1]](in.Bytes())); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func parse[T any](b []byte) T {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		panic(err)
	}
	return v
}

const thisBinary = "/proc/self/exe"

// helper prepares one; uid and gid are those of this process when less than 0.
func helper(t *testing.T, binary, name string, uid int, in any) *exec.Cmd {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), binary)
	c.Args = []string{helperName, name}
	c.Stdin = bytes.NewReader(b)
	c.Stderr = os.Stderr
	c.Dir = "/"
	if uid >= 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return c
}

// help runs a helper and returns what it says.
func help[T any](t *testing.T, name string, uid int, in any) T {
	t.Helper()
	return ask[T](t, helper(t, thisBinary, name, uid, in))
}

func ask[T any](t *testing.T, c *exec.Cmd) T {
	t.Helper()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("helper %s: %v", c.Args[1], err)
	}
	var v T
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("helper %s: %v in %.300q", c.Args[1], err, out)
	}
	return v
}

// poor describes a poorer kernel, or a container that forbids things, and what is required of a child there.
type poor struct {
	Without  []string `json:"without"`   // system calls that it does not have
	NoSpaces bool     `json:"no_spaces"` // namespaces are forbidden
	Require  Layers   `json:"require"`
	Ground   ground   `json:"ground"`
}

// apply makes this process and its children live there.
func (p poor) apply() {
	var groups []seccomp.SyscallGroup
	if len(p.Without) > 0 {
		groups = append(groups, seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: p.Without})
	}
	if p.NoSpaces {
		spaces := seccomp.Condition{
			Argument: 0, Operation: seccomp.BitsSet,
			Value: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		}
		groups = append(groups, seccomp.SyscallGroup{
			Action:             seccomp.ActionErrno | seccomp.Action(unix.EPERM),
			NamesWithCondtions: []seccomp.NameWithConditions{{Name: "clone", Conditions: seccomp.ArgumentConditions{spaces}}},
		})
	}
	if len(groups) == 0 {
		return
	}
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionAllow, Syscalls: groups,
	}})
	if err != nil {
		panic(err)
	}
}

// users are the users as whom a test runs its helper.
func users() map[string]int {
	if os.Getuid() != 0 {
		return map[string]int{"plain user": -1}
	}
	return map[string]int{"root": -1, "plain user": nobody}
}
