package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tasks are what children of this test run.
var tasks = map[string]Task{
	"echo":  func(_ context.Context, in Input, out *Output) error { return out.Send(in.Args) },
	"probe": probeTask,
	"work":  workTask,
	"sums":  sumsTask,
	"fail":  func(context.Context, Input, *Output) error { return errors.New("no good:\x1b[31m\u202e red") },
	"sleep": func(ctx context.Context, _ Input, out *Output) error {
		if err := out.Send([]byte("asleep")); err != nil {
			return err
		}
		for {
			time.Sleep(time.Hour)
		}
	},
	"hog": func(context.Context, Input, *Output) error {
		var held [][]byte
		for {
			b := make([]byte, 8<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
			runtime.KeepAlive(held)
		}
	},
	"huge": func(context.Context, Input, *Output) error {
		b := make([]byte, 1<<40)
		b[len(b)-1] = 1
		return nil
	},
	"page tables": func(context.Context, Input, *Output) error {
		// Reading untouched memory takes no memory but for its page tables.
		var sum byte
		for {
			b, err := unix.Mmap(-1, 0, 1<<38, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
			if err != nil {
				return err
			}
			for i := 0; i < len(b); i += 1 << 21 {
				sum += b[i]
			}
			runtime.KeepAlive(sum)
		}
	},
	"spin": func(context.Context, Input, *Output) error {
		for range runtime.GOMAXPROCS(0) {
			go func() {
				for { //nolint:staticcheck // this is what a child must not be able to do for long
				}
			}()
		}
		select {}
	},
	"goroutines": func(context.Context, Input, *Output) error {
		for {
			go func() { select {} }()
		}
	},
	"threads": func(context.Context, Input, *Output) error {
		for range 100_000 {
			go func() {
				runtime.LockOSThread()
				select {}
			}()
		}
		select {}
	},
	"deep": func(context.Context, Input, *Output) error { return fmt.Errorf("%d", deep(1)) },
	"nil": func(context.Context, Input, *Output) error {
		var p *int
		return fmt.Errorf("%d", *p)
	},
	"exit": func(context.Context, Input, *Output) error {
		os.Exit(0)
		return nil
	},
	"kill itself": func(context.Context, Input, *Output) error {
		if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGKILL); err != nil {
			return err
		}
		select {}
	},
	"messages": func(_ context.Context, _ Input, out *Output) error {
		for {
			if err := out.Send(nil); err != nil {
				return err
			}
		}
	},
	"flood": func(context.Context, Input, *Output) error {
		w := os.NewFile(resultFD, "result")
		for {
			if err := writeFrame(w, frameMessage, make([]byte, 1000)); err != nil {
				return err
			}
		}
	},
	"loud": func(context.Context, Input, *Output) error {
		for {
			if _, err := os.Stderr.Write(make([]byte, 1000)); err != nil {
				return err
			}
		}
	},
	"close": func(context.Context, Input, *Output) error {
		if err := unix.Close(resultFD); err != nil {
			return err
		}
		select {}
	},
	"long frame":    rawTask(frameMessage, 0xffffffff, nil),
	"long word":     rawTask(frameError, 0xffffffff, nil),
	"half frame":    rawTask(frameMessage, 1000, []byte("not a thousand")),
	"odd frame":     rawTask('?', 0, nil),
	"level again":   rawTask(frameLevel, 2, []byte("{}")),
	"short request": rawTask(frameRequest, 3, []byte("abc")),
	"other file":    rawTask(frameRequest, requestSize, request{1, 7, 0, 1}.encode()),
	"past the end":  rawTask(frameRequest, requestSize, request{1, 0, 1 << 40, 1}.encode()),
	"before it":     rawTask(frameRequest, requestSize, request{1, 0, -1, 1}.encode()),
	"too much":      rawTask(frameRequest, requestSize, request{1, 0, 0, 1 << 31}.encode()),
	"map": func(_ context.Context, in Input, out *Output) error {
		sum := 0
		for _, f := range in.Files {
			info, err := f.Stat()
			if err != nil {
				return err
			}
			m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			for i := 0; i < len(m); i += 4096 {
				sum += int(m[i])
			}
		}
		time.Sleep(5 * lookEvery) // so that the parent looks
		return out.Send([]byte(strconv.Itoa(sum)))
	},
	"big requests": func(_ context.Context, in Input, _ *Output) error {
		w := os.NewFile(resultFD, "result")
		for {
			if err := writeFrame(w, frameRequest, request{1, 0, 0, rangeSize}.encode()); err != nil {
				return err
			}
		}
	},
	"requests": func(context.Context, Input, *Output) error {
		// Asks and asks, and never reads an answer.
		w := os.NewFile(resultFD, "result")
		for {
			if err := writeFrame(w, frameRequest, request{1, 0, 0, 1}.encode()); err != nil {
				return err
			}
		}
	},
}

// rawTask sends one frame whose length need not be that of its payload, and waits.
func rawTask(kind byte, size uint32, payload []byte) Task {
	return func(context.Context, Input, *Output) error {
		b := binary.LittleEndian.AppendUint32([]byte{kind}, size)
		if _, err := unix.Write(resultFD, append(b, payload...)); err != nil {
			return err
		}
		select {}
	}
}

func deep(n int) int {
	var a [100]int
	if n > 0 { // always
		a[n%100] = deep(n + 1)
	}
	return a[(n+1)%100] + n
}

// workTask is a task that does much of what Go programs do, to see that the sandbox lets them.
func workTask(_ context.Context, in Input, out *Output) error {
	if n := runtime.GOMAXPROCS(0); n < 1 {
		return fmt.Errorf("%d processors", n)
	}
	began := time.Now()
	timer := time.After(20 * time.Millisecond)
	var wg sync.WaitGroup
	sums := make(chan string, 64)
	for i := range 64 {
		wg.Go(func() {
			b := make([]byte, 1<<20)
			if _, err := rand.Read(b); err != nil {
				sums <- err.Error()
				return
			}
			for range i {
				runtime.Gosched()
			}
			sums <- hex.EncodeToString(sha256.New().Sum(b)[:4])
		})
	}
	// A goroutine that never yields must be stopped by a signal for the collector to run.
	stop := make(chan struct{})
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				return
			default:
				for i := range 1 << 24 {
					n += i
				}
			}
		}
	}()
	for range 5 {
		runtime.GC()
	}
	close(stop)
	wg.Wait()
	<-timer
	for range 64 {
		if s := <-sums; len(s) != 8 {
			return errors.New(s)
		}
	}
	if time.Since(began) < 20*time.Millisecond {
		return errors.New("time stands still")
	}
	func() {
		defer func() { _ = recover() }()
		var p *int
		*p = 1
	}()
	return out.Send(in.Args)
}

// sumsTask sends the SHA-256 of each of its files and ranges, read in pieces by several goroutines.
func sumsTask(_ context.Context, in Input, out *Output) error {
	sum := func(r io.ReaderAt, size int64) (string, error) {
		const piece = 300_000
		b := make([]byte, size)
		errs := make(chan error)
		n := 0
		for off := int64(0); off < size; off += piece {
			n++
			go func() {
				k, err := r.ReadAt(b[off:min(off+piece, size)], off)
				if k == int(min(piece, size-off)) && errors.Is(err, io.EOF) {
					err = nil
				}
				errs <- err
			}()
		}
		var err error
		for range n {
			err = errors.Join(err, <-errs)
		}
		// One byte more than there is.
		if k, e := r.ReadAt(make([]byte, 2), size-1); size > 0 && (k != 1 || !errors.Is(e, io.EOF)) {
			err = errors.Join(err, fmt.Errorf("at the end: %d, %w", k, e))
		}
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:]), err
	}
	var all bytes.Buffer
	for i, f := range in.Files {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		s, err := sum(f, info.Size())
		if err != nil {
			return fmt.Errorf("file %d: %w", i, err)
		}
		all.WriteString(s)
		if err := f.Close(); err != nil {
			return err
		}
	}
	for i, r := range in.Ranges {
		s, err := sum(r, r.Size)
		if err != nil {
			return fmt.Errorf("range %d: %w", i, err)
		}
		all.WriteString(s)
	}
	return out.Send(all.Bytes())
}
