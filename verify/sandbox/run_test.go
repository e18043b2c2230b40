package sandbox

import (
	"testing"
)

func TestRunEcho(t *testing.T) {
	t.Parallel()
	var got string
	out, err := Run(t.Context(), Options{
		Task:    "echo",
		Args:    []byte("hello"),
		Message: func(b []byte) error { got += string(b); return nil },
	})
	if err != nil || got != "hello" || out.Level.missing(Default) != 0 {
		t.Errorf("got %q, %+v, %v", got, out, err)
	}
}

func BenchmarkSpawn(b *testing.B) {
	for b.Loop() {
		if _, err := Run(b.Context(), Options{Task: "echo"}); err != nil {
			b.Fatal(err)
		}
	}
}
