package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadCPU returns the processor time that this thread has taken. Wall time
// would blame the prober for a machine that is busy with something else.
func threadCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onProcfs reports whether path is on a real procfs, and not in a test's copy
// of one, where a directory's size means something else.
func onProcfs(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && uint32(fs.Type) == unix.PROC_SUPER_MAGIC
}
