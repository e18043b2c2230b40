//go:build !cgo

package sandbox

import "golang.org/x/sys/unix"

// pidSpace is a process namespace of its own for the child.
const pidSpace = unix.CLONE_NEWPID
