package main

import (
	"bytes"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// totalMemory returns the bytes of memory that this process may use: those of
// the machine, or fewer where its control group has a limit. 0 when unknown.
func totalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	total := int64(min(uint64(info.Totalram)*uint64(info.Unit), math.MaxInt64))
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		p, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(string(bytes.TrimSpace(p)), 10, 64); err == nil && limit > 0 {
			total = min(total, limit)
		}
	}
	return total
}
