//go:build linux || darwin

package evidence

import "golang.org/x/sys/unix"

// freeBytes asks how much of dir's disk an unprivileged process may still
// use.
func freeBytes(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
