//go:build linux && !amd64

package sandbox

func machineActs() []act { return nil }
