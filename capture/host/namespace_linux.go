package host

import (
	"os"
	"syscall"
)

// namespaceID identifies the network namespace behind a /proc/PID/net
// directory. Each namespace has entries of its own in procfs, so the inode of
// one of them will do; unlike the link /proc/PID/ns/net it needs no right.
func namespaceID(netDir string) (id uint64, ok bool) {
	info, err := os.Stat(netDir + "/tcp")
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Ino, true
}
