package sandbox

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carat-hub/carat/inference"
)

// What children are for: to run models, mapped into memory, on every processor.

func init() { tasks["infer"] = inferTask }

// inferred is what a run of a model gave.
type inferred struct {
	Text    string        `json:"text"`
	Took    time.Duration `json:"took"`
	Threads int           `json:"threads"`
}

func inferTask(ctx context.Context, in Input, out *Output) error {
	var names []string
	if err := json.Unmarshal(in.Args, &names); err != nil {
		return err
	}
	files := handed{}
	for i, name := range names {
		files[name] = in.Files[i]
	}
	got, err := infer(ctx, files)
	if err != nil {
		return err
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return out.Send(b)
}

// infer completes a text by a model.
func infer(ctx context.Context, files inference.Files) (inferred, error) {
	got := inferred{Threads: runtime.GOMAXPROCS(0)}
	m, err := inference.Open(ctx, files)
	if err != nil {
		return got, err
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		return got, err
	}
	for range 2 { // the second time is that of a process that has warmed up
		s := m.NewSession(inference.SessionOptions{Threads: got.Threads})
		began := time.Now()
		g, err := s.Generate(ctx, tok.Encode("In the beginning", true), inference.GenerateOptions{MaxTokens: 100})
		got.Text, got.Took = g.Text, time.Since(began)
		s.Close()
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// handed are the files that a child holds.
type handed map[string]*os.File

func (h handed) Names() []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	return names
}

func (h handed) Open(name string) (inference.File, error) {
	f, ok := h[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	return mapped{f, b}, err
}

type mapped struct {
	*os.File
	b []byte
}

func (m mapped) Bytes() []byte { return m.b }
func (m mapped) Size() int64   { return int64(len(m.b)) }
func (m mapped) Close() error  { return nil } // it lives as long as the process

const tinyLlama = "../../examples/tiny-llama"

// inferInside runs the model in a child.
func inferInside(tb testing.TB) inferred {
	tb.Helper()
	entries, err := os.ReadDir(tinyLlama)
	if err != nil {
		tb.Fatal(err)
	}
	o := Options{Task: "infer"}
	var names []string
	for _, e := range entries {
		f, err := os.Open(filepath.Join(tinyLlama, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		names, o.Files = append(names, e.Name()), append(o.Files, f)
	}
	if o.Args, err = json.Marshal(names); err != nil {
		tb.Fatal(err)
	}
	var got inferred
	o.Message = func(b []byte) error { return json.Unmarshal(b, &got) }
	if _, err := Run(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
	return got
}

// inferOutside runs it here.
func inferOutside(tb testing.TB) inferred {
	tb.Helper()
	files, err := inference.OpenPath(tinyLlama)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := infer(tb.Context(), files)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestInfer(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	inside, outside := inferInside(t), inferOutside(t)
	if inside.Text == "" || inside.Text != outside.Text || inside.Threads != outside.Threads {
		t.Errorf("inside %+v, outside %+v", inside, outside)
	}
}

// BenchmarkInfer gives the time of the generation alone, which waits for threads at each layer of a tiny model.
func BenchmarkInfer(b *testing.B) {
	for name, run := range map[string]func(testing.TB) inferred{"inside": inferInside, "outside": inferOutside} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				took += run(b).Took
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N)/100, "µs/token")
		})
	}
}
