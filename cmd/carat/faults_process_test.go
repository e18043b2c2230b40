package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/internal/child"
	"github.com/carat-hub/carat/registry"
)

// program is the built binary and a data folder that its processes share.
type program struct {
	binary, data string
}

// serving is a running "carat serve".
type serving struct {
	*child.Process
	url string
	log string // file
}

// start starts "carat serve" and returns when it has said where it serves.
func (p program) start(t *testing.T, flags ...string) serving {
	t.Helper()
	log := must(os.CreateTemp(t.TempDir(), "log"))(t)
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(p.binary, "serve", "--addr", "127.0.0.1:0", "--data", p.data)
	cmd.Args = append(cmd.Args, flags...)
	cmd.Env = append(os.Environ(), "CARAT_ADMIN_PASSWORD="+testPassword)
	cmd.Stdout, cmd.Stderr = w, log
	c, err := child.Start(cmd, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	line, err := bufio.NewReader(r).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Carat serves at ")
	if !ok {
		t.Fatalf("serve says %q, %v\n%s", line, err, read(t, log.Name()))
	}
	return serving{c, url, log.Name()}
}

// TestProcess does to the real binary what only a process can suffer.
func TestProcess(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "carat")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Run("clean shutdown", func(t *testing.T) {
		t.Parallel()
		cleanShutdown(t, program{binary, t.TempDir()})
	})
	t.Run("killed while pushing", func(t *testing.T) {
		t.Parallel()
		killedWhilePushing(t, program{binary, t.TempDir()})
	})
	t.Run("cancelled while verifying", func(t *testing.T) {
		t.Parallel()
		cancelledWhileVerifying(t, program{binary, t.TempDir()})
	})
}

// cleanShutdown sends SIGTERM while a push is in flight.
func cleanShutdown(t *testing.T, bin program) {
	s := bin.start(t)
	p := newPeer(t, s.url, "faults/shutdown")
	var kept ledger
	kept.push(t, p, "v1", content("kept", 100_000))
	slow := content("slow", 2<<20)
	finish := p.slowly(t, 0, http.MethodPost, "blobs/uploads/?digest="+digestOf(slow), slow)
	if err := syscall.Kill(s.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hub takes no new connections", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-s.Done():
		t.Fatalf("the hub ended with a push in flight: %v\n%s", s.Err(), read(t, s.log))
	default:
	}
	got, err := finish()
	if err != nil {
		t.Fatalf("the push in flight: %v\n%s", err, read(t, s.log))
	}
	got.wants(t, "the push in flight", http.StatusCreated, "")
	kept.blobs[digestOf(slow)] = slow
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("the hub does not end")
	}
	if s.Err() != nil {
		t.Errorf("exit: %v\n%s", s.Err(), read(t, s.log))
	}
	s = bin.start(t)
	kept.check(t, newPeer(t, s.url, p.repo))
}

// unfinished is an upload of which the hub has acknowledged some bytes.
type unfinished struct {
	path  string
	whole []byte
	acked int
}

// pusher pushes images until the hub is gone and remembers what it was told.
type pusher struct {
	ledger
	seed   string
	round  int
	latest []byte       // the manifest that the tag "latest" was last acknowledged to be
	moving []byte       // the manifest that it may be as well
	open   []unfinished // from before the last end of the hub
}

// push pushes one image: its layer in chunks, then the manifest under a tag
// of its own and under one that moves. It calls acknowledged for each answer.
func (u *pusher) push(ctx context.Context, p *peer, acknowledged func()) error {
	u.round++
	name := fmt.Sprintf("%s-%d", u.seed, u.round)
	layer := content(name, 20_000+rand.IntN(300_000))
	step := func(status int, method, path string, body []byte, header ...string) (reply, error) {
		got, err := p.do(ctx, method, path, bytes.NewReader(body), header...)
		if err == nil && got.status != status {
			err = fmt.Errorf("%s %s: status %d: %s", method, path, got.status, got.body)
		}
		if err == nil {
			acknowledged()
		}
		return got, err
	}
	empty := []byte("{}")
	if _, err := step(http.StatusCreated, http.MethodPost, "blobs/uploads/?digest="+digestOf(empty), empty); err != nil {
		return err
	}
	u.blobs[digestOf(empty)] = empty

	begun, err := step(http.StatusAccepted, http.MethodPost, "blobs/uploads/", nil)
	if err != nil {
		return err
	}
	upload := unfinished{path: begun.header.Get("Location"), whole: layer}
	for upload.acked < len(layer) {
		next := min(upload.acked+100_000, len(layer))
		if _, err := step(http.StatusAccepted, http.MethodPatch, upload.path, layer[upload.acked:next]); err != nil {
			u.open = append(u.open, upload)
			return err
		}
		upload.acked = next
	}
	d := digestOf(layer)
	if _, err := step(http.StatusCreated, http.MethodPut, upload.path+"?digest="+d, nil); err != nil {
		return err
	}
	u.blobs[d] = layer

	manifest := imageOf(layer)
	u.moving = manifest
	if _, err := step(http.StatusCreated, http.MethodPut, "manifests/"+digestOf(manifest)+"?tag="+name+"&tag="+u.seed, manifest, "Content-Type", registry.MediaTypeOCIManifest); err != nil {
		return err
	}
	u.tags[name], u.latest = manifest, manifest
	return nil
}

// check checks all that was acknowledged against a hub that was started anew.
func (u *pusher) check(t *testing.T, p *peer) {
	t.Helper()
	u.ledger.check(t, p)
	if u.latest == nil {
		return
	}
	got := p.want(t, http.StatusOK, "", http.MethodGet, "manifests/"+u.seed, nil)
	if !bytes.Equal(got.body, u.latest) && !bytes.Equal(got.body, u.moving) {
		t.Errorf("tag %s is %s, last acknowledged was %s", u.seed, got.body, u.latest)
	}
}

// resume goes on with the uploads that the hub's end left. Those whose chunk
// was in flight may be held for a while yet; wait says to wait for them.
func (u *pusher) resume(t *testing.T, p *peer, wait bool) {
	t.Helper()
	var held []unfinished
	for _, x := range u.open {
		at := 0
		got := p.want(t, http.StatusNoContent, "", http.MethodGet, x.path, nil)
		must(fmt.Sscanf(got.header.Get("Range"), "0-%d", &at))(t)
		if at > 0 {
			at++
		}
		if at < x.acked || at > len(x.whole) {
			t.Errorf("the upload stands at %d of %d, acknowledged were %d", at, len(x.whole), x.acked)
			continue
		}
		d := digestOf(x.whole)
		finished := func() bool {
			got, err := p.do(t.Context(), http.MethodPut, x.path+"?digest="+d, bytes.NewReader(x.whole[at:]))
			if err != nil {
				t.Fatal(err)
			}
			if got.status == http.StatusTooManyRequests {
				return false
			}
			got.wants(t, "resume", http.StatusCreated, "")
			u.blobs[d] = x.whole
			return true
		}
		if wait {
			eventually(t, "an upload is resumed", finished)
		} else if !finished() {
			held = append(held, x)
		}
	}
	u.open = held
}

// killedWhilePushing kills the hub several times while several clients push.
func killedWhilePushing(t *testing.T, bin program) {
	const (
		cycles  = 6
		clients = 4
		bound   = 4 * time.Minute
	)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	pushers := make([]*pusher, clients)
	for i := range pushers {
		pushers[i] = &pusher{seed: fmt.Sprint("client", i), ledger: ledger{map[string][]byte{}, map[string][]byte{}}}
	}
	for range cycles {
		s := bin.start(t)
		p := newPeer(t, s.url, "faults/killed")
		for _, u := range pushers {
			u.check(t, p)
			u.resume(t, p, false)
		}
		// The kill comes after so many answers, wherever the clients are then.
		left := atomic.Int64{}
		left.Store(int64(40 + rand.IntN(160)))
		enough := make(chan struct{})
		var pushing sync.WaitGroup
		errs := make([]error, clients)
		for i, u := range pushers {
			pushing.Go(func() {
				for errs[i] == nil {
					errs[i] = u.push(ctx, p, func() {
						if left.Add(-1) == 0 {
							close(enough)
						}
					})
				}
			})
		}
		select {
		case <-enough:
		case <-ctx.Done():
			t.Errorf("the clients got no answers: %v", errs)
		}
		s.Kill()
		pushing.Wait()
		for _, err := range errs {
			// An answer that is no success is a bug; a broken connection is the kill.
			if strings.Contains(err.Error(), ": status ") {
				t.Errorf("before the kill: %v", err)
			}
		}
		if t.Failed() {
			t.Fatalf("log:\n%s", read(t, s.log))
		}
	}
	s := bin.start(t)
	p := newPeer(t, s.url, "faults/killed")
	blobs := 0
	for _, u := range pushers {
		u.resume(t, p, true)
		u.check(t, p)
		blobs += len(u.blobs)
	}
	if err := s.Stop(syscall.SIGTERM, time.Minute); err != nil || s.Err() != nil {
		t.Errorf("stop: %v, %v", err, s.Err())
	}
	h, url := startHub(t, serveConfig{Data: bin.data}, nil)
	wantSound(t, h, h.config.Blobs)
	for _, u := range pushers {
		u.check(t, newPeer(t, url, p.repo))
	}
	t.Logf("%d blobs were acknowledged", blobs)
}
