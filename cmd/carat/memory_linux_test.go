package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGroupMemory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"system.slice/memory.max":                     "4000\n",
		"system.slice/carat.service/memory.max":       "3000\n",
		"system.slice/carat.service/carat/memory.max": "max\n",
		"system.slice/other.service/memory.max":       "10\n",
		"memory/memory.limit_in_bytes":                "9223372036854771712\n",
		"memory/docker/memory.limit_in_bytes":         "2000\n",
		"unified/scope/memory.max":                    "1000\n",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, name, []byte(text))
	}
	for name, tt := range map[string]struct {
		member string
		want   int64
	}{
		"a unit, as it was left by Delegate": {"0::/system.slice/carat.service/carat\n", 3000},
		"a slice":                            {"0::/system.slice/none.service\n", 4000},
		"no limit":                           {"0::/\n", 5000},
		"version 1":                          {"5:cpu:/docker\n4:memory:/docker\n0::/\n", 2000},
		"version 1 in a container":           {"4:memory:/docker/abc/def\n", 2000},
		"both":                               {"4:memory:/docker\n0::/scope\n", 1000},
		"out of the tree":                    {"0::/../../system.slice\n", 4000},
		"no sense":                           {"x\n::\n", 5000},
	} {
		if got := groupMemory(5000, tt.member, root); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
