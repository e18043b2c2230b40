//go:build unix

package check

import (
	"runtime"
	"syscall"
)

// peakMemory is the most memory that the process has held at once, in bytes; 0 when the system does not say.
func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // there in bytes
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
