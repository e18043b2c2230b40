package inference

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// trap panics when it is read.
type trap struct{}

func (trap) ReadAt([]byte, int64) (int, error) { panic("sprung") }

// noPanic fails on an error that was a panic.
func noPanic(t *testing.T, err error) {
	t.Helper()
	var p *PanicError
	if errors.As(err, &p) {
		t.Fatal(err)
	}
}

func TestNoPanicEscapes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, name := range []string{"a.gguf", weightsName, "a.onnx", "a.pt", configName} {
		files := FromSources(map[string]Source{name: {trap{}, 1000}, weightsName: {trap{}, 1000}})
		for what, run := range map[string]func() error{
			"Inspect":        func() error { _, err := Inspect(ctx, files); return err },
			"Open":           func() error { _, err := Open(ctx, files); return err },
			"ReadTokenizer":  func() error { _, err := ReadTokenizer(ctx, files); return err },
			"EstimateMemory": func() error { _, err := EstimateMemory(ctx, files, SessionOptions{}); return err },
			"ScanTensors":    func() error { return ScanTensors(ctx, files, func(TensorScan) error { return nil }) },
		} {
			var p *PanicError
			if err := run(); !errors.As(err, &p) || p.Value != "sprung" || !strings.HasPrefix(p.Site, "inference.trap") {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
	}
	// A panic of the caller's is the caller's.
	defer func() {
		if recover() != "mine" {
			t.Error("the panic of a callback was swallowed")
		}
	}()
	_ = ScanTensors(ctx, newToy().gguf(t), func(TensorScan) error { panic("mine") })
}
