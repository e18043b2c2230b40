package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/sandbox"
)

// TestMain lets this binary be the child of its tests.
func TestMain(m *testing.M) {
	sandbox.Main(verify.Tasks(odd{}))
	os.Exit(m.Run())
}

// odd are the checks in the child, which do what the name of the first file
// tells them to, and otherwise what they are there for.
type odd struct{ check.InProcess }

func (o odd) Verify(ctx context.Context, files verify.Files, opts verify.RunOptions) *verify.Report {
	o.act(files[0].Path)
	return o.InProcess.Verify(ctx, files, opts)
}

func (o odd) Inspect(ctx context.Context, files verify.Files) (*registry.Facts, error) {
	o.act(files[0].Path)
	return o.InProcess.Inspect(ctx, files)
}

func (odd) act(name string) {
	switch name {
	case "crash.gguf":
		var p *int
		*p = 1
	case "sleep.gguf":
		time.Sleep(time.Hour)
	case "swell.gguf":
		var held [][]byte
		for {
			p := make([]byte, 32<<20)
			for i := range p {
				p[i] = byte(i)
			}
			held = append(held, p)
			if len(held) > 1<<20 {
				panic("there is room for all")
			}
		}
	case "exit.gguf":
		os.Exit(0)
	}
}

func openExample(t *testing.T) verify.Files {
	t.Helper()
	files, err := verify.OpenPath("../examples/tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}

// TestSandboxedIsTheSame: what a child finds is what this process finds.
func TestSandboxedIsTheSame(t *testing.T) {
	t.Parallel()
	var seen []string
	o := verify.RunOptions{Threads: 1, Progress: func(r *verify.Report) { seen = append(seen, r.Current) }}
	got := verify.Sandboxed{}.Verify(t.Context(), openExample(t), o)
	want := check.Verify(t.Context(), openExample(t), verify.RunOptions{Threads: 1})
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(verify.Report{}, "StartedAt", "FinishedAt", "Sandbox", "Spent"), cmpopts.IgnoreFields(verify.Result{}, "Seconds", "Measured"), cmp.Comparer(func(a, b registry.Digest) bool { return a == b })); diff != "" {
		t.Errorf("(-here +in the child):\n%s", diff)
	}
	if got.State != verify.StatePassed || got.Sandbox == nil || got.Sandbox.Layers&sandbox.Default != sandbox.Default || got.Spent.Memory == 0 || got.Spent.CPUSeconds == 0 {
		t.Errorf("%s: %s; %+v, %+v", got.State, got.Summary, got.Sandbox, got.Spent)
	}
	if len(seen) != 2*len(got.Results) || seen[0] != got.Results[0].ID || seen[1] != "" {
		t.Errorf("progress %q", seen)
	}
	facts, err := verify.Sandboxed{}.Inspect(t.Context(), openExample(t))
	if err != nil {
		t.Fatal(err)
	}
	here, err := check.Inspect(t.Context(), openExample(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(here, facts); diff != "" {
		t.Errorf("(-here +in the child):\n%s", diff)
	}
}

// TestSandboxedBases: a child gets the files of bases, those on disk and those in memory, and the report before.
func TestSandboxedBases(t *testing.T) {
	t.Parallel()
	disk := openExample(t)
	var memory verify.Files
	for _, f := range openExample(t) {
		memory = append(memory, verify.NewFile(f.Path, f.Size, f.Digest, f))
	}
	previous := check.Verify(t.Context(), disk, verify.RunOptions{Threads: 1})
	r := verify.Sandboxed{}.Verify(t.Context(), openExample(t), verify.RunOptions{
		Threads: 1, Fingerprint: true, Previous: previous,
		Bases: []verify.Base{{Name: "org/disk", Files: disk}, {Name: "org/memory", Files: memory}, {Name: "org/gone", Problem: "there is no room"}},
	})
	if r.State != verify.StatePassed {
		t.Fatalf("%s: %s", r.State, r.Summary)
	}
	want := []verify.Descent{{Base: "org/disk", Verdict: "confirmed"}, {Base: "org/memory", Verdict: "confirmed"}, {Base: "org/gone", Verdict: "unknown"}}
	if diff := cmp.Diff(want, r.Descents()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	outcomes := map[string]verify.Outcome{}
	for _, x := range r.Results {
		outcomes[x.ID] = x.Outcome
	}
	if outcomes["regression.outputs"] != verify.OutcomePassed || outcomes["regression.tensors"] != verify.OutcomePassed || outcomes[verify.LineageSearch] != verify.OutcomeSkipped {
		t.Errorf("outcomes %v", outcomes)
	}
}

// named are files in memory, which a child reads through its parent.
func named(content map[string]string) verify.Files {
	var files verify.Files
	for name, text := range content {
		files = append(files, verify.NewFile(name, int64(len(text)), registry.Digest{}, strings.NewReader(text)))
	}
	if len(files) == 2 && files[0].Path > files[1].Path {
		files[0], files[1] = files[1], files[0]
	}
	return files
}

func TestSandboxedVerifyEndsWithAReason(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file    string
		options verify.RunOptions
		state   verify.State
		summary string
	}{
		"no model":     {"junk.gguf", verify.RunOptions{}, verify.StateFailed, "structure.headers: malformed gguf"},
		"a crash":      {"crash.gguf", verify.RunOptions{}, verify.StateError, "the child died: exit status 2: "},
		"a time limit": {"sleep.gguf", verify.RunOptions{Timeout: time.Second}, verify.StateError, "time limit of 1s reached"},
		"too large":    {"swell.gguf", verify.RunOptions{}, verify.StateError, "the limit of memory was reached"},
		"a false end":  {"exit.gguf", verify.RunOptions{}, verify.StateError, "the child died"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := verify.Sandboxed{Memory: 256 << 20}.Verify(t.Context(), named(map[string]string{tt.file: "no such thing"}), tt.options)
			if r.State != tt.state || !strings.HasPrefix(r.Summary, tt.summary) {
				t.Errorf("%s: %s", r.State, r.Summary)
			}
			if _, err := json.Marshal(r); err != nil || r.FinishedAt.Before(r.StartedAt) {
				t.Errorf("report %+v, %v", r, err)
			}
		})
	}
}

func TestSandboxedInspectKeepsTheCard(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"crash.gguf", "exit.gguf"} {
		files := named(map[string]string{name: "no such thing", "readme.md": "---\nlicense: mit\n---\n# Small"})
		facts, err := verify.Sandboxed{}.Inspect(t.Context(), files)
		var broken *verify.ContentError
		if !errors.As(err, &broken) || !strings.HasPrefix(broken.Reason, "the files could not be inspected: the child died") {
			t.Errorf("%s: error %v", name, err)
		}
		if facts == nil || facts.Card.Title != "Small" {
			t.Errorf("%s: facts %+v", name, facts)
		}
	}
}

// lost is a file that cannot be read.
type lost struct{}

func (lost) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestSandboxedTellsLostFilesFromBroken(t *testing.T) {
	t.Parallel()
	files := func() verify.Files {
		return verify.Files{verify.NewFile("model.gguf", 1000, registry.Digest{}, lost{})}
	}
	if _, err := (verify.Sandboxed{}).Inspect(t.Context(), files()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("inspect: %v", err)
	}
	f := files()
	r := verify.Sandboxed{}.Verify(t.Context(), f, verify.RunOptions{})
	if r.State != verify.StateError || !strings.Contains(r.Summary, io.ErrClosedPipe.Error()) || f.Fault() == nil {
		t.Errorf("%s: %s, fault %v", r.State, r.Summary, f.Fault())
	}
}

func TestSandboxedStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no longer wanted")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	r := verify.Sandboxed{}.Verify(ctx, named(map[string]string{"sleep.gguf": "x"}), verify.RunOptions{})
	if r.State != verify.StateError || r.Summary != why.Error() {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	level, err := verify.Sandboxed{}.Probe(t.Context())
	if err != nil || level.Layers&sandbox.Default != sandbox.Default {
		t.Errorf("%v, %v", level, err)
	}
}
