package kernellab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name: it lives as long as its
// descriptor, or a process or socket in it, so that even a killed test leaves
// nothing behind.
type namespace struct{ fd int }

// newNamespace makes an empty namespace.
func newNamespace() (*namespace, error) {
	ns := &namespace{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		ns.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	return ns, err
}

// do runs f on a thread that is in the namespace. Sockets that f opens and
// processes that it starts belong to the namespace.
func (ns *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(ns.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

func (ns *namespace) close() error { return unix.Close(ns.fd) }

// set writes a sysctl of the namespace, named with slashes below net/.
func (ns *namespace) set(name, value string) error {
	return ns.do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
}

// onThread runs f on a thread of its own, and gives the thread back only in
// the namespace that it came from; otherwise the thread ends with f.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- err
			return
		}
		err = f()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
		done <- err
	}()
	return <-done
}
