package sandbox

import (
	"context"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Main(tasks)
	os.Exit(m.Run())
}

var tasks = map[string]Task{
	"echo": func(_ context.Context, in Input, out *Output) error { return out.Send(in.Args) },
}
