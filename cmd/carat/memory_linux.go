package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// totalMemory returns the bytes of memory that this process may use: those of
// the machine, or fewer where a control group that it is in has a limit. 0
// when unknown.
func totalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	total := int64(min(uint64(info.Totalram)*uint64(info.Unit), math.MaxInt64))
	member, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total
	}
	return groupMemory(total, string(member), "/sys/fs/cgroup")
}

// groupMemory lowers total to the limits of the control groups in the text of
// /proc/self/cgroup and of all groups above them. In a container the groups
// are often mounted from its own one on; then there is only the top to look at.
func groupMemory(total int64, member, root string) int64 {
	for line := range strings.SplitSeq(member, "\n") {
		// hierarchy:controllers:path; version 2 has the hierarchy 0 and no controllers.
		part := strings.SplitN(line, ":", 3)
		if len(part) != 3 {
			continue
		}
		tops, name := []string{root, filepath.Join(root, "unified")}, "memory.max"
		switch {
		case part[0] == "0" && part[1] == "":
		case part[1] == "memory":
			tops, name = []string{filepath.Join(root, "memory")}, "memory.limit_in_bytes"
		default:
			continue
		}
		for _, top := range tops {
			for dir := filepath.Join("/", part[2]); ; dir = filepath.Dir(dir) {
				if p, err := os.ReadFile(filepath.Join(top, dir, name)); err == nil {
					if limit, err := strconv.ParseInt(string(bytes.TrimSpace(p)), 10, 64); err == nil && limit > 0 {
						total = min(total, limit)
					}
				}
				if dir == "/" {
					break
				}
			}
		}
	}
	return total
}
