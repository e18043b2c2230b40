package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/carat-hub/carat/verify"
)

// BenchmarkSpawn starts a verification child of a program that holds all that
// carat holds, with every layer of the sandbox, until it is gone; beside it
// the same program started plainly, which ends where main begins.
func BenchmarkSpawn(b *testing.B) {
	b.Run("sandboxed", func(b *testing.B) {
		for b.Loop() {
			if _, err := (verify.Sandboxed{}).Probe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain process", func(b *testing.B) {
		for b.Loop() {
			c := exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), startOnly+"=1")
			if err := c.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
