package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/carat-hub/carat/client"
)

// progress shows the events of a transfer: bars on a terminal, one line for
// each finished file elsewhere.
type progress struct {
	w    io.Writer
	bars *mpb.Progress // nil when w is no terminal
	byID map[string]*mpb.Bar
	once sync.Once
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, byID: make(map[string]*mpb.Bar)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if _, height, err := term.GetSize(int(f.Fd())); err != nil || height < 4 {
			return p // no room for bars
		}
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(30))
	}
	return p
}

// close ends the display. What is printed later comes below it.
func (p *progress) close() {
	p.once.Do(func() {
		if p.bars == nil {
			return
		}
		for _, b := range p.byID {
			b.Abort(true)
		}
		p.bars.Wait()
	})
}

// event is the client's progress function; it is never called twice at once.
func (p *progress) event(e client.Event) {
	switch e.Action {
	case client.Hashing, client.Uploading, client.Downloading:
		p.moved(e)
	case client.Retrying:
		p.end(e)
		p.line(fmt.Sprintf("  %s: %s; again in %.1fs", plain(e.Path), plain(e.Err.Error()), e.Delay.Seconds()))
	case client.Hashed:
		p.end(e)
	case client.Waiting:
		p.line("  " + plain(e.Path) + ": waiting for another pull of it into the same folder")
	default:
		p.end(e)
		p.line(fmt.Sprintf("  %-11s %10s  %s", e.Action, formatBytes(e.Size), plain(e.Path)))
	}
}

// line prints above the bars. The terminal is not worth failing a transfer for.
func (p *progress) line(s string) {
	if p.bars != nil {
		_, _ = p.bars.Write([]byte(s + "\n"))
		return
	}
	_, _ = io.WriteString(p.w, s+"\n")
}

func (p *progress) moved(e client.Event) {
	if p.bars == nil || e.Size == 0 {
		return
	}
	bar := p.byID[e.Path]
	if bar == nil {
		bar = p.bars.AddBar(e.Size,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(
				decor.Name(string(e.Action), decor.WC{W: 12, C: decor.DindentRight}),
				decor.Name(plain(e.Path), decor.WCSyncSpaceR),
			),
			mpb.AppendDecorators(
				decor.CountersKiloByte("% .1f / % .1f", decor.WCSyncSpace),
				decor.OnComplete(decor.AverageSpeed(decor.SizeB1000(0), "% .1f", decor.WCSyncSpace), ""),
			),
		)
		p.byID[e.Path] = bar
	}
	bar.SetCurrent(e.Done)
}

func (p *progress) end(e client.Event) {
	if bar := p.byID[e.Path]; bar != nil {
		bar.Abort(true)
		delete(p.byID, e.Path)
	}
}

// formatBytes writes a size for people, in decimal units as the pages do.
func formatBytes(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for v >= 999.95 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", v, units[i])
}

// plain makes foreign text safe for a terminal: one line, nothing that moves the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}
