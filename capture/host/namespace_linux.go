package host

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
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

// openDiagIn opens a netlink socket in the network namespace id of a process,
// whose directory under /proc is dir. A socket stays in the namespace it was
// opened in, so only one thread has to go there, for a moment, and that thread
// ends: there is no way back that could fail.
func openDiagIn(dir string, id uint64) (d *diag, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			// The first thread does not end, and /proc/self shows its
			// namespace. While it is held here, another one does the work.
			d, err = openDiagIn(dir, id)
			runtime.UnlockOSThread()
			return
		}
		d, err = enterAndOpen(dir, id)
	}()
	<-done
	return d, err
}

// enterAndOpen leaves the calling thread in the other namespace.
func enterAndOpen(dir string, id uint64) (*diag, error) {
	ns, err := os.Open(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	// The pid may have become another process's meanwhile.
	if here, ok := namespaceID("/proc/thread-self/net"); !ok || here != id {
		return nil, fmt.Errorf("%s is another namespace now", ns.Name())
	}
	return openDiag()
}
