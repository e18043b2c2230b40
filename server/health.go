package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	readyFor    = time.Second     // how long a result of the checks is good
	pingTimeout = 3 * time.Second // for all checks together
)

// Check is one part that the hub cannot work without.
type Check struct {
	Name string // "database", "blobs"
	Ping func(ctx context.Context) error
}

// health answers /livez and /readyz.
type health struct {
	checks   []Check
	now      func() time.Time
	log      *slog.Logger
	stopping atomic.Bool

	mu   sync.Mutex // held while checking, so that there is one check at a time
	at   time.Time
	last map[string]string
	ok   bool
}

// healthReport is the body of /livez and /readyz.
type healthReport struct {
	Status string            `json:"status"`          // "ok", "unavailable", "stopping"
	Parts  map[string]string `json:"parts,omitempty"` // by check: "ok" or "unavailable"
}

// live answers that the process runs, and nothing else: a database that is
// away is no reason to restart it.
func (h *health) live(c echo.Context) error {
	return c.JSON(http.StatusOK, healthReport{Status: "ok"})
}

func (h *health) ready(c echo.Context) error {
	if h.stopping.Load() {
		return c.JSON(http.StatusServiceUnavailable, healthReport{Status: "stopping"})
	}
	parts, ok := h.check(c.Request().Context())
	if !ok {
		return c.JSON(http.StatusServiceUnavailable, healthReport{Status: "unavailable", Parts: parts})
	}
	return c.JSON(http.StatusOK, healthReport{Status: "ok", Parts: parts})
}

// check runs the checks, or returns what they said less than a second ago.
func (h *health) check(ctx context.Context) (map[string]string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil && h.now().Sub(h.at) < readyFor {
		return h.last, h.ok
	}
	// One caller's leaving must not be the others' answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	errs := make([]error, len(h.checks))
	var wait sync.WaitGroup
	for i, check := range h.checks {
		wait.Go(func() { errs[i] = check.Ping(ctx) })
	}
	wait.Wait()
	parts, ok := make(map[string]string, len(h.checks)), true
	for i, check := range h.checks {
		parts[check.Name] = "ok"
		if errs[i] != nil {
			parts[check.Name], ok = "unavailable", false
			h.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("part", check.Name), slog.String("error", errs[i].Error()))
		}
	}
	h.at, h.last, h.ok = h.now(), parts, ok
	return parts, ok
}
