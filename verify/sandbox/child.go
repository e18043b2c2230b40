package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Output is where a task sends its messages.
type Output struct {
	to      *wire
	message int64
	mu      sync.Mutex
	left    int64
}

// messageCost is what a message costs of Limits.Output beside its bytes, so that empty ones are bounded too.
const messageCost = 64

// Send hands msg to the parent's Options.Message. It blocks while the parent is busy with an earlier one, and returns an error when
// msg would break Limits.Message or Limits.Output; the parent ends a child that sends more. It is safe for use by several goroutines.
func (o *Output) Send(msg []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if int64(len(msg)) > o.message {
		return fmt.Errorf("message of %d bytes, at most %d", len(msg), o.message)
	}
	if cost := int64(len(msg)) + messageCost; cost > o.left {
		return fmt.Errorf("no room for a message of %d bytes: all together are limited", len(msg))
	} else {
		o.left -= cost
	}
	return o.to.send(frameMessage, msg)
}

// wire writes frames of several goroutines to the parent.
type wire struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *wire) send(kind byte, parts ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return writeFrame(w.w, kind, parts...)
}

// reader is the child's end of Options.Ranges: it sends requests and hands the answers to those who wait.
type reader struct {
	to      *wire
	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan answer
	err     error // why no answers come any more
}

type answer struct {
	b   []byte
	err error
}

func newReader(to *wire) *reader { return &reader{to: to, waiting: map[uint32]chan answer{}} }

// run gives out the answers that come in until r ends.
func (rd *reader) run(r io.Reader) {
	for {
		_, payload, err := readFrame(r, func(kind byte) int64 {
			if kind != frameBytes {
				return -1
			}
			return bytesHeader + rangeSize
		})
		if err == nil && len(payload) < bytesHeader {
			err = errors.New("short answer")
		}
		rd.mu.Lock()
		if err != nil {
			rd.err = fmt.Errorf("read from the parent: %w", err)
			for id, c := range rd.waiting {
				c <- answer{err: rd.err}
				delete(rd.waiting, id)
			}
			rd.mu.Unlock()
			return
		}
		id := binary.LittleEndian.Uint32(payload)
		a := answer{b: payload[bytesHeader:]}
		if payload[4] != 0 {
			a.err = io.EOF
		}
		if c, ok := rd.waiting[id]; ok {
			c <- a
			delete(rd.waiting, id)
		}
		rd.mu.Unlock()
	}
}

// read asks for at most rangeSize bytes.
func (rd *reader) read(index uint32, b []byte, off int64) (int, error) {
	c := make(chan answer, 1)
	rd.mu.Lock()
	if rd.err != nil {
		defer rd.mu.Unlock()
		return 0, rd.err
	}
	rd.next++
	id := rd.next
	rd.waiting[id] = c
	rd.mu.Unlock()
	if err := rd.to.send(frameRequest, request{id, index, off, uint32(len(b))}.encode()); err != nil {
		rd.mu.Lock()
		delete(rd.waiting, id)
		rd.mu.Unlock()
		return 0, err
	}
	a := <-c
	n := copy(b, a.b)
	if n < len(b) && a.err == nil {
		a.err = io.ErrUnexpectedEOF
	}
	return n, a.err
}

// remote is one range.
type remote struct {
	from  *reader
	index uint32
	size  int64
}

// ReadAt implements io.ReaderAt.
func (m remote) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	n := 0
	for n < len(b) {
		at := off + int64(n)
		if at >= m.size {
			return n, io.EOF
		}
		k, err := m.from.read(m.index, b[n:n+int(min(int64(len(b)-n), rangeSize, m.size-at))], at)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// perform runs the task between the parent's word to begin and the child's last frame.
func perform(ctx context.Context, task Task, s setup, args []byte, files []*os.File, control io.Reader, to *wire) error {
	from := newReader(to)
	go from.run(control)
	in := Input{Args: args, Files: files}
	for i, size := range s.Ranges {
		in.Ranges = append(in.Ranges, Range{remote{from, uint32(i), size}, size})
	}
	if err := task(ctx, in, &Output{to: to, message: s.Limits.Message, left: s.Limits.Output}); err != nil {
		return to.send(frameError, []byte(cut(clean([]byte(err.Error())), errorSize-4)))
	}
	return to.send(frameDone)
}
