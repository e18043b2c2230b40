//go:build cgo

package sandbox

// pidSpace is no process namespace in a binary with cgo: there landlock is put on each thread by a C library that looks for the
// threads in /proc, which shows the numbers of the namespace outside.
const pidSpace = 0
