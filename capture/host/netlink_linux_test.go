package host

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNetlinkComesBack: a kernel that has no time for an answer is asked again,
// by another socket; one that refuses is not.
func TestNetlinkComesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		fd   func(t *testing.T) int
		back bool
	}{
		{"no answer in time", silent, true},
		{"refused", func(*testing.T) int { return 1 << 20 }, false}, // EBADF
	} {
		p := prober(t, Options{Ports: []uint16{9}, PID: os.Getpid()})
		if p.diag == nil {
			t.Fatal("no netlink here")
		}
		p.diag.close()
		p.diag.fd = tt.fd(t)
		bad := p.diag
		p.Sample(t0)
		if back := p.diag != nil; back != tt.back || p.diag == bad {
			t.Errorf("%s: asked again %t, want %t", tt.name, back, tt.back)
		}
		if s := p.Sample(t0.Add(time.Minute)); s.PID != os.Getpid() {
			t.Errorf("%s: the next sample is of %d: %s", tt.name, s.PID, s.Err)
		}
	}
}

// silent returns a socket that takes requests and answers none.
func silent(t *testing.T) int {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fds[1]) }) // the prober closes the other
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1000}); err != nil {
		t.Fatal(err)
	}
	return fds[0]
}
