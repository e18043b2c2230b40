package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/audit"
)

// memory is a store whose writes can fail.
type memory struct {
	audit.Store
	events []audit.Event
	err    error
}

func (m *memory) AppendAudit(_ context.Context, events []audit.Event) error {
	if m.err == nil {
		m.events = append(m.events, events...)
	}
	return m.err
}

func (m *memory) SealAudit(context.Context) (int, error) { return 0, nil }

func TestNoteCounts(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := &memory{}
	l := audit.NewLog(m, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	guess := func(name string) {
		l.Note(audit.Event{Action: audit.SignInRefused, Actor: audit.Actor{Name: name, Address: "192.0.2.1"}})
	}
	flush := func() {
		t.Helper()
		if err := l.Flush(t.Context()); err != nil && m.err == nil {
			t.Fatal(err)
		}
	}
	guess("jane")
	flush()
	for range 100 {
		guess("jane")
		flush()
	}
	if len(m.events) != 1 || m.events[0].Count != 1 {
		t.Fatalf("within the minute: %+v", m.events)
	}
	now = now.Add(time.Minute)
	m.err = errors.New("away")
	flush()
	m.err = nil
	flush()
	if len(m.events) != 2 || m.events[1].Count != 100 {
		t.Fatalf("after the minute, and a failure: %+v", m.events)
	}
	// Names that somebody makes up cost no more memory than a thousand.
	m.events = nil
	now = now.Add(2 * time.Minute)
	flush()
	for i := range 5000 {
		guess(fmt.Sprintf("user%d", i))
	}
	flush()
	total := 0
	for _, e := range m.events {
		total += e.Count
	}
	if len(m.events) > 1001 || total != 5000 {
		t.Errorf("%d events of %d sign-ins", len(m.events), total)
	}
}

// FuzzVerifyLines reads logs of strangers.
func FuzzVerifyLines(f *testing.F) {
	e, err := audit.Follow(0, "", audit.Event{At: time.Unix(5, 0).UTC(), Action: audit.Push, Repository: "org/<m>"})
	if err != nil {
		f.Fatal(err)
	}
	line, err := e.Line()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"seq":1}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		var c audit.Chain
		err := audit.ReadLines(bytes.NewReader(p), func(line []byte) error {
			_, err := c.Add(line)
			return err
		})
		if err == nil && c.Seq > 0 && !strings.Contains(string(p), c.Hash) {
			t.Errorf("a log without its last hash %s is valid", c.Hash)
		}
	})
}
