package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

const talkHelp = `/bye ends the conversation, as Ctrl-D does; /clear forgets it; Ctrl-C ends an answer.
`

// talk is a conversation on the terminal.
func (e *env) talk(ctx context.Context, c *conversation) error {
	in, out := e.stdin.(*os.File), e.stdout
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("set up the terminal: %w", err)
	}
	defer func() { _ = term.Restore(int(in.Fd()), state) }() // there is nothing else to try
	t := newConsole(in, out)
	if width, height, err := term.GetSize(int(in.Fd())); err == nil && width > 0 {
		_ = t.lines.SetSize(width, height)
	}
	if c.report != nil {
		c.report = t
	}
	return t.converse(ctx, c)
}

// console is a terminal in raw mode: it edits lines, and sees Ctrl-C while
// something else is going on.
type console struct {
	lines *term.Terminal
	keys  chan byte // typed, for lines
	err   error     // why there are no more keys, once keys is closed

	mu        sync.Mutex
	interrupt func() // what Ctrl-C does; nil while a line is edited
}

const (
	ctrlC = 3
	ctrlU = 21 // empties the line
)

// newConsole begins to read from in, which nobody else may read from then on.
func newConsole(in io.Reader, out io.Writer) *console {
	c := &console{keys: make(chan byte, 4096)}
	c.lines = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{keyReader{c}, out}, ">>> ")
	go c.listen(in)
	return c
}

// listen passes keys on. It ends with in, or with the process.
func (c *console) listen(in io.Reader) {
	defer close(c.keys)
	var b [64]byte
	for {
		n, err := in.Read(b[:])
		for _, key := range b[:n] {
			c.mu.Lock()
			interrupt := c.interrupt
			c.mu.Unlock()
			switch {
			case key == ctrlC && interrupt != nil:
				interrupt()
				continue
			case key == ctrlC:
				key = ctrlU
			}
			c.keys <- key
		}
		if err != nil {
			c.err = err
			return
		}
	}
}

// keyReader gives lines the keys that listen lets through.
type keyReader struct{ c *console }

func (r keyReader) Read(b []byte) (int, error) {
	key, ok := <-r.c.keys
	if !ok {
		return 0, r.c.err
	}
	b[0] = key
	n := 1
	for n < len(b) {
		select {
		case key, ok := <-r.c.keys:
			if !ok {
				return n, nil
			}
			b[n] = key
			n++
		default:
			return n, nil
		}
	}
	return n, nil
}

// Write prints for people; lines end as a terminal in raw mode needs it.
func (c *console) Write(b []byte) (int, error) { return c.lines.Write(b) }

// interruptible runs f with a context that Ctrl-C ends.
func (c *console) interruptible(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	set := func(interrupt func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.interrupt = interrupt
	}
	set(cancel)
	defer set(nil)
	return f(ctx)
}

// converse answers lines until there are no more.
func (c *console) converse(ctx context.Context, said *conversation) error {
	if _, err := io.WriteString(c, talkHelp); err != nil {
		return err
	}
	for ctx.Err() == nil {
		line, err := c.lines.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			_, err := io.WriteString(c, "\n")
			return err
		case err != nil && !errors.Is(err, term.ErrPasteIndicator):
			return err
		}
		switch line = strings.TrimSpace(line); line {
		case "":
			continue
		case "/bye":
			return nil
		case "/clear":
			said.clear()
			continue
		case "/?", "/help":
			if _, err := io.WriteString(c, talkHelp); err != nil {
				return err
			}
			continue
		}
		if err := c.answer(ctx, said, line); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// answer prints one answer. What only concerns this answer is printed too.
func (c *console) answer(ctx context.Context, said *conversation, line string) error {
	out := &answerWriter{w: c, terminal: true}
	err := c.interruptible(ctx, func(ctx context.Context) error { return said.answer(ctx, line, out.write) })
	if werr := out.end(); werr != nil {
		return werr
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.Canceled), err == nil:
		return nil
	}
	_, err = fmt.Fprintf(c, "carat: %s\n", plain(err.Error()))
	return err
}
