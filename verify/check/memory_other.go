//go:build !unix

package check

// peakMemory is the most memory that the process has held at once, in bytes; 0 when the system does not say.
func peakMemory() int64 { return 0 }
