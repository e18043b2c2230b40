package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canary is a secret of the parent: in its environment, its memory and its files.
var canary = []byte(os.Getenv("CARAT_TEST_CANARY"))

// probed is what a probing child found.
type probed struct {
	Level  Level             `json:"level"`
	Acts   int               `json:"acts"`
	Wrong  map[string]string `json:"wrong"` // acts that did not fail as they must
	Model  string            `json:"model"`
	Mapped string            `json:"mapped"`
	Env    []string          `json:"env"`
	FDs    []int             `json:"fds"`
	Raw    []byte            `json:"raw"` // every byte the child sent
	Err    string            `json:"err"`
}

const modelText = "the bytes of a model"

// probe runs the hostile child and gathers what it says.
func probe(g ground, require Layers) probed {
	model, err := os.CreateTemp("", "model")
	if err != nil {
		return probed{Err: err.Error()}
	}
	defer func() { _ = os.Remove(model.Name()) }()
	defer model.Close()
	if _, err := model.WriteString(modelText); err != nil {
		return probed{Err: err.Error()}
	}
	// Secrets of this process: one in memory, and an open descriptor that exec does not close.
	secret := bytes.Clone(canary)
	g.Parent, g.Secret, g.Stray = os.Getpid(), uint64(uintptr(unsafe.Pointer(unsafe.SliceData(secret)))), 700
	if err := unix.Dup2(int(model.Fd()), g.Stray); err != nil {
		return probed{Err: err.Error()}
	}
	args, err := json.Marshal(g)
	if err != nil {
		return probed{Err: err.Error()}
	}
	var p probed
	var raw []byte
	// The model is handed over as it was opened: to read and to write.
	out, err := Run(context.Background(), Options{
		Task: "probe", Args: args, Files: []*os.File{model}, Require: require,
		Message: func(b []byte) error {
			raw = append(raw, b...)
			return json.Unmarshal(b, &p)
		},
	})
	if err != nil {
		p.Err = err.Error()
		raw = append(raw, err.Error()...)
	}
	p.Level, p.Raw = out.Level, raw
	if b, err := os.ReadFile(model.Name()); err != nil || string(b) != modelText {
		p.Err += "the model was changed"
	}
	return p
}

// probeTask is the hostile child.
func probeTask(_ context.Context, in Input, out *Output) error {
	var g ground
	if err := json.Unmarshal(in.Args, &g); err != nil {
		return err
	}
	p := probed{Wrong: map[string]string{}, Env: os.Environ()}
	for fd := 0; g.NoFilter && fd < 3; fd++ {
		// Its limit of descriptors must not hide what else holds.
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	for _, a := range acts(g) {
		// Without the filter only what is harmless if it succeeds, and more ways of failing.
		if g.NoFilter && !a.harmless {
			continue
		}
		if g.NoFilter {
			a.want = []unix.Errno{unix.EACCES, unix.EPERM}
		}
		p.Acts++
		if got := a.outcome(); got != "" {
			p.Wrong[a.name] = got
		}
	}
	for fd := range 2000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			p.FDs = append(p.FDs, fd)
		}
	}
	b := make([]byte, 100)
	n, _ := in.Files[0].ReadAt(b, 0)
	p.Model = string(b[:n])
	info, err := in.Files[0].Stat()
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(in.Files[0].Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the model: %w", err)
	}
	p.Mapped = string(m)
	msg, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return out.Send(msg)
}

// plainly tries the harmless acts without a sandbox and lists those that fail.
func plainly(g ground) map[string]string {
	failed := map[string]string{}
	for _, a := range acts(g) {
		if !a.harmless {
			continue
		}
		if err := a.try(); err != nil {
			failed[a.name] = err.Error()
		}
	}
	return failed
}

// newGround sets up what the acts aim at.
func newGround(t *testing.T) ground {
	t.Helper()
	// Not t.TempDir: another user must be able to get there.
	dir, err := os.MkdirTemp("/tmp", "carat-ground")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	g := ground{Dir: dir, Unix: filepath.Join(dir, "socket"), Abstract: filepath.Base(dir)}
	for _, name := range []string{"/present", "/doomed"} {
		if err := os.WriteFile(dir+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listen := func(network, address string) string {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	g.TCP = listen("tcp", "127.0.0.1:0")
	listen("unix", g.Unix)
	listen("unix", "@"+g.Abstract)
	if err := os.Chmod(g.Unix, 0o777); err != nil {
		t.Fatal(err)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	g.UDP = u.LocalAddr().String()
	return g
}

// needLandlock skips where the kernel has none, unless this is a run that must not miss it.
func needLandlock(t *testing.T) {
	t.Helper()
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 && os.Getenv("CI") == "" {
		t.Skipf("the kernel has no landlock: %v", errno)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	if len(canary) < 16 {
		t.Fatal("there is no canary")
	}
	for name, uid := range users() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What a child must not do, anybody else can: the acts are real.
			if failed := help[map[string]string](t, "plain", uid, newGround(t)); len(failed) > 0 {
				t.Errorf("without the sandbox these fail too: %v", failed)
			}
			p := help[probed](t, "probe", uid, poor{Ground: newGround(t)})
			if p.Err != "" {
				t.Fatal(p.Err)
			}
			t.Logf("%d acts at level %s, landlock %d", p.Acts, p.Level.Layers, p.Level.Landlock)
			for act, got := range p.Wrong {
				t.Errorf("%s: %s", act, got)
			}
			if p.Acts < 100 {
				t.Errorf("only %d acts were tried", p.Acts)
			}
			if missing := p.Level.missing(Default | Unprivileged); missing != 0 {
				t.Errorf("level lacks %s", missing)
			}
			if p.Model != modelText || p.Mapped != modelText {
				t.Errorf("the child read the model as %q and mapped %q", p.Model, p.Mapped)
			}
			// Beside those that belong to it, only the two that Go's runtime waits on.
			if want := []int{0, 1, 2, resultFD, controlFD, fileFD}; len(p.FDs) != len(want)+2 || !slices.Equal(p.FDs[:len(want)], want) {
				t.Errorf("the child holds descriptors %v", p.FDs)
			}
			if len(p.Env) != 3 {
				t.Errorf("the child's environment is %q", p.Env)
			}
			if bytes.Contains(p.Raw, canary) || strings.Contains(strings.Join(p.Env, "\n"), string(canary)) {
				t.Error("the parent's secret came out of the child")
			}
		})
	}
}

// TestWalls takes the walls down one after the other, to see what each of the others holds alone.
func TestWalls(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	noFilter := func(g ground) ground {
		g.NoFilter = true
		return g
	}
	for _, tc := range []struct {
		name string
		poor poor
		left []string // acts that succeed
	}{
		{"the filter alone", poor{
			Without: []string{"landlock_create_ruleset"}, NoSpaces: true, Require: NoNewPrivs | Rlimits | Seccomp, Ground: newGround(t),
		}, nil},
		{"landlock alone", poor{
			Without: []string{"seccomp"}, NoSpaces: true, Require: NoNewPrivs | Rlimits | Landlock, Ground: noFilter(newGround(t)),
		}, []string{"change the folder", "connect to a socket by path", "listen by TCP", "look for the database's socket", "send by UDP"}},
	} {
		for user, uid := range users() {
			t.Run(tc.name+", "+user, func(t *testing.T) {
				t.Parallel()
				p := help[probed](t, "probe", uid, tc.poor)
				if p.Err != "" || p.Acts < 15 || p.Level.Layers&^(Default|Unprivileged) != 0 {
					t.Fatalf("%d acts at level %s: %s", p.Acts, p.Level.Layers, p.Err)
				}
				for _, act := range slices.Sorted(maps.Keys(p.Wrong)) {
					// Later versions of landlock hold more. Go listens by multipath TCP, which none of them holds.
					if !slices.Contains(tc.left, act) {
						t.Errorf("%s: %s", act, p.Wrong[act])
					}
				}
			})
		}
	}
}

func TestPoorSystem(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	noLandlock := []string{"landlock_create_ruleset"}
	for _, tc := range []struct {
		name    string
		poor    poor
		missing Layers // in the error; 0 when the task shall run
	}{
		{"no landlock, default", poor{Without: noLandlock}, Landlock},
		{"no landlock, less required", poor{Without: noLandlock, Require: NoNewPrivs | Rlimits | Seccomp}, 0},
		{"no landlock, nothing required", poor{Without: noLandlock, Require: None}, 0},
		{"no filter, default", poor{Without: []string{"seccomp"}}, Seccomp},
		{"no namespaces, default", poor{NoSpaces: true}, 0},
		{"no namespaces, required", poor{NoSpaces: true, Require: Default | NetNS}, NetNS},
	} {
		for user, uid := range users() {
			t.Run(tc.name+", "+user, func(t *testing.T) {
				t.Parallel()
				got := help[once](t, "poor", uid, tc.poor)
				if got.Missing != tc.missing || got.Ran != (tc.missing == 0) {
					t.Errorf("got %+v", got)
				}
				if tc.missing != 0 && !strings.Contains(got.Err, tc.missing.String()+" (") {
					t.Errorf("%q does not say what is missing and why", got.Err)
				}
				if got.Level.Layers&Unprivileged == 0 {
					t.Errorf("the child had rights: %s", got.Level.Layers)
				}
			})
		}
	}
}

// TestBinaryOfRoot has root run a binary that nobody else may execute: then the child cannot become another user, and is still
// cut off by everything else.
func TestBinaryOfRoot(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	if os.Getuid() != 0 {
		t.Skip("only root has such a binary")
	}
	b, err := os.ReadFile(thisBinary)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(name, b, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		poor   poor
		layers Layers
	}{
		{"with namespaces", poor{}, Default | UserNS | NetNS | IPCNS | MountNS | UTSNS},
		{"without", poor{NoSpaces: true}, Default},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := ask[once](t, helper(t, name, "poor", -1, tc.poor))
			if !got.Ran || got.Level.Layers&^PidNS != tc.layers {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// once is what became of one run.
type once struct {
	Level   Level
	Ran     bool
	Missing Layers
	Err     string
}

func runOnce(require Layers) once {
	var o once
	out, err := Run(context.Background(), Options{Task: "echo", Require: require, Message: func([]byte) error { o.Ran = true; return nil }})
	o.Level = out.Level
	if err != nil {
		o.Err = err.Error()
	}
	var le *LevelError
	if errors.As(err, &le) {
		o.Missing = le.Missing
	}
	return o
}

func background() context.Context { return context.Background() }
