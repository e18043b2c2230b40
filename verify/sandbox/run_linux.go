package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Run runs a task in a child and returns when the child is gone. The Outcome is filled as far as the child got. The error is nil
// when the task returned nil, and else one of:
//   - *LevelError: the required layers cannot be had here; the task did not run
//   - *StartError: the child could not be started
//   - *LimitError: a limit was reached
//   - *TaskError: the task returned an error
//   - *ExitError: the child died by itself
//   - *ProtocolError: the child sent what it must not
//   - *InputError: reading a Range failed in this process
//   - what Options.Message returned, or the cause of ctx's end
func Run(ctx context.Context, o Options) (Outcome, error) {
	if !called.Load() {
		// The child would begin with what this program does, which is to start children.
		return Outcome{}, &StartError{errors.New("this program does not call sandbox.Main at its start")}
	}
	if len(o.Args) > MaxArgs {
		return Outcome{}, fmt.Errorf("sandbox: arguments of %d bytes, at most %d", len(o.Args), MaxArgs)
	}
	for i, rg := range o.Ranges {
		if rg.Size < 0 {
			return Outcome{}, fmt.Errorf("sandbox: range %d has size %d", i, rg.Size)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return Outcome{}, err
	}
	o.Limits = o.Limits.withDefaults()
	r := &run{o: o, quit: make(chan struct{})}
	err := r.run(ctx)
	return r.out, err
}

// run is one child as its parent sees it.
type run struct {
	o       Options
	proc    *process
	result  *os.File // from the child
	control *wire    // to the child
	status  *os.File // the child's /proc/PID/status, or nil
	mapped  int64    // the sizes of the child's files, in bytes
	group   *childGroup
	noGroup error // why there is none: a layer less
	out     Outcome
	begun   bool // the child has its input

	mu    sync.Mutex
	cause error         // why the child was ended, if it was
	quit  chan struct{} // closed when the child is to be ended
}

// stop ends the child for a reason; the first reason counts.
func (r *run) stop(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return
	}
	r.cause = cause
	close(r.quit)
	_ = r.proc.Kill() // an error says that it is gone
	// Where a grandchild could be, it must not keep us reading.
	_ = r.result.SetReadDeadline(time.Unix(1, 0))
}

// Reasons for a child's end that are no errors of Run: it has said its last word, and it is gone without.
var (
	errDone = errors.New("done")
	errGone = errors.New("gone")
)

func (r *run) run(ctx context.Context) error {
	began := time.Now()
	stderr, control, err := r.start()
	if err != nil {
		return &StartError{err}
	}
	r.control = &wire{w: control}

	var beside sync.WaitGroup
	var said tail
	beside.Go(func() {
		if err := said.drain(stderr); err != nil {
			// A runtime that fails says why first, and may then list more goroutines than there is room for.
			r.stop(cmp.Or(said.limit(r.o.Limits), err))
		}
	})
	beside.Go(func() { r.watch(ctx, began) })

	last := r.talk(&beside)
	if errors.Is(last, errGone) {
		last = r.silent()
	}
	r.stop(last)
	<-r.proc.exited
	// Nothing writes to these any more, and a grandchild that could hold them open is no reason to wait.
	_ = stderr.SetReadDeadline(time.Now().Add(time.Second))
	_ = control.Close()
	beside.Wait()
	_ = stderr.Close()
	_ = r.result.Close()
	if r.status != nil {
		_ = r.status.Close()
	}
	noMemory := r.group.killed()
	r.group.remove()
	r.out.Wall = time.Since(began)
	if r.proc.err != nil {
		return &StartError{fmt.Errorf("wait for the child: %w", r.proc.err)}
	}
	r.out.CPU = r.proc.state.UserTime() + r.proc.state.SystemTime()
	if errors.Is(r.cause, errDone) {
		return nil
	}
	if errors.Is(r.cause, errGone) && noMemory {
		return memoryLimit(r.o.Limits)
	}
	if errors.Is(r.cause, errGone) {
		err := died(r.proc.state, &said, r.out.CPU, r.o.Limits)
		if !r.begun {
			return &StartError{err}
		}
		return err
	}
	return r.cause
}

// start starts the child with its pipes and files.
func (r *run) start() (stderr, control *os.File, err error) {
	var theirs, ours []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
		if err != nil {
			for _, f := range ours {
				_ = f.Close()
			}
		}
	}()
	pipe := func(toChild bool) *os.File {
		reads, writes, perr := os.Pipe()
		if perr != nil {
			err = errors.Join(err, perr)
			return nil
		}
		if toChild {
			reads, writes = writes, reads
		}
		ours, theirs = append(ours, reads), append(theirs, writes)
		return reads
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = append(theirs, null)
	stderr = pipe(false)
	r.result = pipe(false)
	control = pipe(true)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range r.o.Files {
		again, err := reopen(f)
		if err != nil {
			return nil, nil, fmt.Errorf("open file %d again: %w", i, err)
		}
		theirs = append(theirs, again)
		if info, err := again.Stat(); err == nil {
			r.mapped += info.Size()
		}
	}
	files := []*os.File{null, null, theirs[1], theirs[2], theirs[3]}
	r.group, r.noGroup = newChildGroup(r.o.Limits, r.mapped)
	if r.proc, err = spawn(append(files, theirs[4:]...), r.group); err != nil {
		r.group.remove()
		return nil, nil, err
	}
	// Before the child knows what to do: once it has restricted itself, some systems hide it.
	if status, err := os.Open(fmt.Sprintf("/proc/%d/status", r.proc.Pid)); err == nil {
		r.status = status
	}
	return stderr, control, nil
}

// setup is what the child must know to restrict itself.
func (r *run) setup() setup {
	s := setup{Task: r.o.Task, Files: len(r.o.Files), Limits: r.o.Limits, Spaces: map[string]uint64{}, OwnUser: r.proc.form.ownUser}
	for _, sp := range spaces {
		var st unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+sp.name, &st); err == nil {
			s.Spaces[sp.name] = st.Ino
		}
	}
	for _, rg := range r.o.Ranges {
		s.Ranges = append(s.Ranges, rg.Size)
	}
	return s
}

// talk tells the child its setup and hears it out: its level, and if that is enough its messages and requests. It returns errDone,
// errGone when the child said nothing more, or why it must be ended.
func (r *run) talk(beside *sync.WaitGroup) error {
	b, err := json.Marshal(r.setup())
	if err != nil {
		return &StartError{err}
	}
	if err := r.control.send(frameSetup, b); err != nil {
		return errGone
	}
	_, payload, err := readFrame(r.result, only(frameLevel, reportSize))
	if err != nil {
		return broken(err)
	}
	var rep report
	if err := json.Unmarshal(payload, &rep); err != nil {
		return &ProtocolError{"its report is not valid JSON"}
	}
	if rep.Error != "" {
		return &StartError{errors.New(cut(clean([]byte(rep.Error)), errorSize))}
	}
	r.out.Level = r.seen(rep.Level)
	if missing := r.out.Level.missing(r.o.Require); missing != 0 {
		if missing&Cgroup != 0 && r.noGroup != nil {
			if rep.Reasons == nil {
				rep.Reasons = map[string]string{}
			}
			rep.Reasons[Cgroup.String()] = r.noGroup.Error()
		}
		return &LevelError{Missing: missing, Level: r.out.Level, Reasons: rep.Reasons}
	}
	if err := r.control.send(frameGo, r.o.Args); err != nil {
		return errGone
	}
	r.begun = true
	slots := make(chan struct{}, 4)
	for {
		kind, payload, err := readFrame(r.result, r.limit)
		if errors.Is(err, errTooLong) && kind == frameMessage {
			return &LimitError{LimitOutput, fmt.Sprintf("%d bytes a message", r.o.Limits.Message)}
		}
		if err != nil {
			return broken(err)
		}
		switch kind {
		case frameMessage:
			r.out.Messages++
			r.out.Output += int64(len(payload)) + messageCost
			if r.out.Output > r.o.Limits.Output {
				return &LimitError{LimitOutput, fmt.Sprintf("%d bytes", r.o.Limits.Output)}
			}
			if r.o.Message != nil {
				if err := r.o.Message(payload); err != nil {
					return err
				}
			}
		case frameRequest:
			q, err := decodeRequest(payload, r.o.Ranges)
			if err != nil {
				return &ProtocolError{err.Error()}
			}
			r.out.Read += max(int64(q.size), 4<<10)
			if r.out.Read > r.o.Limits.Read {
				return &LimitError{LimitRead, fmt.Sprintf("%d bytes", r.o.Limits.Read)}
			}
			select {
			case slots <- struct{}{}:
			case <-r.quit:
				return errGone
			}
			beside.Go(func() {
				defer func() { <-slots }()
				r.answer(q)
			})
		case frameError:
			r.sample()
			return &TaskError{clean(payload)}
		case frameDone:
			r.sample()
			return errDone
		}
	}
}

// silent tells a child that died from one that only closed its pipe. The pipe of one that dies is closed a little earlier.
func (r *run) silent() error {
	dying := time.NewTimer(2 * time.Second)
	defer dying.Stop()
	select {
	case <-r.proc.exited:
	case <-r.quit:
	case <-dying.C:
		return &ProtocolError{"it closed its pipe"}
	}
	return errGone
}

// limit is what a child may send after it was told to begin.
func (r *run) limit(kind byte) int64 {
	switch kind {
	case frameMessage:
		return r.o.Limits.Message
	case frameRequest:
		return requestSize
	case frameError:
		return errorSize
	case frameDone:
		return 0
	default:
		return -1
	}
}

// broken tells an end of the pipe, which is an end of the child, from a breach of the protocol. A child that dies while it writes is
// no breach either.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return errGone
	}
	return &ProtocolError{err.Error()}
}

// answer reads what the child asked for.
func (r *run) answer(q request) {
	b := make([]byte, bytesHeader+int(q.size))
	n, err := r.o.Ranges[q.index].ReadAt(b[bytesHeader:], q.offset)
	if n < int(q.size) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.stop(&InputError{int(q.index), err})
		return
	}
	q.putID(b)
	_ = r.control.send(frameBytes, b) // an error says that the child is gone, which others see
}
