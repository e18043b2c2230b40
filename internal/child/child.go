package child

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// watch is the janitor's program. Its arguments are the child's process id and the scratch folder ("" for none); it reads
// one line. The line "ended" means that the child is gone already, end of file that the test process is.
const watch = `
pid=$1 scratch=$2 line=
read -r line
[ "$line" != ended ] || exit 0
kill -QUIT "$pid" 2>/dev/null
n=0
while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 100 ]; do
	case $(cat "/proc/$pid/stat" 2>/dev/null) in *") Z "*) break ;; esac # ended, but nobody collects it
	sleep 0.1
	n=$((n+1))
done
kill -KILL "$pid" 2>/dev/null
[ -z "$scratch" ] || rm -rf -- "$scratch"
`

// Process is a running child.
type Process struct {
	cmd   *exec.Cmd
	watch *exec.Cmd
	pipe  io.WriteCloser
	done  chan struct{}
	err   error
	once  sync.Once
}

// Start starts cmd in a process group of its own, so that an interrupt typed at the terminal reaches it only through us.
// If the test process ends first, the folder scratch and all in it is removed after the child ("" for no folder); if the
// child ends first, the folder stays the caller's. cmd must not have a writer that is not an *os.File for its output, or `go test` waits for it.
func Start(cmd *exec.Cmd, scratch string) (*Process, error) {
	group(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	p.watch = exec.Command("sh", "-c", watch, "sh", strconv.Itoa(cmd.Process.Pid), scratch)
	p.watch.Dir = os.TempDir()
	group(p.watch)
	pipe, err := p.watch.StdinPipe()
	if err == nil {
		err = p.watch.Start()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("watch %s: %w", cmd.Path, err)
	}
	p.pipe = pipe
	go p.wait()
	return p, nil
}

// group gives cmd a process group of its own, keeping what else its attributes say.
func group(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	_, _ = io.WriteString(p.pipe, "ended\n")
	_ = p.pipe.Close()
	_ = p.watch.Wait()
	close(p.done)
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended, as exec.Cmd.Wait tells it; call it after Done.
func (p *Process) Err() error { return p.err }

// Stop sends sig and waits for the end; a child that is still there after the patience given is killed, and that is an
// error.
func (p *Process) Stop(sig syscall.Signal, patience time.Duration) error {
	_ = p.cmd.Process.Signal(sig)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("stop %s: still running %s after %s", p.cmd.Path, patience, sig)
	}
}

// Kill ends the child with SIGKILL and waits for the end.
func (p *Process) Kill() {
	p.once.Do(func() { _ = p.cmd.Process.Kill() })
	<-p.done
}
