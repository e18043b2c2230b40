package sandbox

import "golang.org/x/sys/unix"

// machineActs are those that only this architecture has.
func machineActs() []act {
	filter := []unix.Errno{unix.EPERM}
	const x32 = 0x40000000
	return []act{
		{"fork by its own call", call(unix.SYS_FORK), filter, false},
		{"vfork by its own call", call(unix.SYS_VFORK), filter, false},
		{"iopl", call(unix.SYS_IOPL, 3), filter, false},
		{"ioperm", call(unix.SYS_IOPERM, 0, 1, 1), filter, false},
		{"modify_ldt", call(unix.SYS_MODIFY_LDT, 0, 0, 0), filter, false},
		{"arch_prctl", call(unix.SYS_ARCH_PRCTL, 0x1003, 0), filter, false},
		{"uselib", call(unix.SYS_USELIB, 0), filter, false},
		{"a call of the x32 interface", call(x32 | unix.SYS_GETPID), []unix.Errno{unix.ENOSYS}, false},
	}
}
