package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/internal/need"
)

const (
	install  = "apt-get install chromium"
	patience = 2 * time.Minute // for everything one test does in its browser
	width    = 1280            // of the window, in CSS pixels
	height   = 900
)

// New starts a browser and returns the context that chromedp.Do and chromedp.Run take. The browser ends with the test. Where Chromium is
// not installed, the test is skipped, or fails when CI=true.
func New(t testing.TB) context.Context {
	t.Helper()
	path := find()
	if path == "" {
		need.Missing(t, "Chromium", install)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WindowSize(width, height),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // Chromium refuses to start its own sandbox as root
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("close the browser: %v", err)
		}
	})
	faults, err := watch(ctx)
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	t.Cleanup(func() {
		for _, fault := range faults() {
			t.Error(fault)
		}
	})
	return ctx
}

// watch collects what pages do wrong, from now on.
func watch(ctx context.Context) (func() []string, error) {
	var mu sync.Mutex
	var faults []string
	add := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, fmt.Sprintf(format, args...))
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			said := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				said = e.ExceptionDetails.Exception.Description
			}
			add("the page threw an error: %s (%s)", said, e.ExceptionDetails.URL)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity {
				add("the page broke a security rule: %s (%s)", e.Entry.Text, e.Entry.URL)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		return nil, fmt.Errorf("listen to the browser's log: %w", err)
	}
	if _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); err != nil {
		return nil, fmt.Errorf("listen to the page's errors: %w", err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(faults)
	}, nil
}

// Screenshot returns the whole page that the browser shows as a PNG. When SCREENSHOT_DIR is set, it is also written there
// as <name>.png, to be looked at.
func Screenshot(t testing.TB, ctx context.Context, name string) []byte {
	t.Helper()
	const lossless = 100 // the quality at which chromedp takes a PNG and not a JPEG
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(lossless))
	if err != nil {
		t.Fatalf("take screenshot %s: %v", name, err)
	}
	if dir := os.Getenv("SCREENSHOT_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Errorf("keep screenshot: %v", err)
		}
	}
	return png
}

// find is the path of the installed browser, or "".
func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
