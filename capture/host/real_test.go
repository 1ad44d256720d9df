//go:build linux

package host

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// port opens a listener with a queue of its own on this machine. It is a bare
// socket, since the Go runtime would accept behind our back.
type port struct {
	t    *testing.T
	fd   int
	port uint16
}

func listen(t *testing.T, backlog int) *port {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no IPv6 sockets here: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	check(t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	check(t, unix.Bind(fd, &unix.SockaddrInet6{}))
	check(t, unix.Listen(fd, backlog))
	name, err := unix.Getsockname(fd)
	check(t, err)
	return &port{t: t, fd: fd, port: uint16(name.(*unix.SockaddrInet6).Port)}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial connects n clients, by IPv4 and IPv6 in turn where this machine has
// both, as a container often has not.
func (l *port) dial(n int) []net.Conn {
	l.t.Helper()
	hosts := []string{"127.0.0.1"}
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil {
		probe.Close()
		hosts = append(hosts, "::1")
	}
	var conns []net.Conn
	for i := range n {
		host := hosts[i%len(hosts)]
		c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(l.port))))
		check(l.t, err)
		l.t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

func (l *port) accept(n int) {
	l.t.Helper()
	for range n {
		fd, _, err := unix.Accept(l.fd)
		check(l.t, err)
		l.t.Cleanup(func() { unix.Close(fd) })
	}
}

// TestRealSockets compares what is counted with what was made: 7 accepted
// (3 of them half closed), 5 waiting (2 half closed), by netlink and by /proc.
func TestRealSockets(t *testing.T) {
	l := listen(t, 50)
	accepted := l.dial(7)
	l.accept(7)
	waiting := l.dial(5)
	for _, c := range append(accepted[:3:3], waiting[:2]...) {
		check(t, c.(*net.TCPConn).CloseWrite())
	}
	p := prober(t, Options{Ports: []uint16{l.port}, PID: os.Getpid()})
	want := [capture.NumStates]int{capture.Established: 7, capture.CloseWait: 5, capture.Listen: 1}
	byNetlink := p.Sample(time.Now())
	compare(t, "netlink", byNetlink, want)
	if p.diag == nil {
		t.Error("netlink was refused on this machine")
	}
	if len(byNetlink.Listen) != 1 || byNetlink.Listen[0].Queue != 5 || byNetlink.Listen[0].Max != 50 {
		t.Errorf("listen %v, want 5 of 50 waiting", byNetlink.Listen)
	}
	check(t, p.Close())
	p.WantConns()
	p.nextFull = time.Time{}
	byProc := p.Sample(time.Now())
	compare(t, "/proc", byProc, want)
	if len(byProc.Listen) != 1 || byProc.Listen[0].Queue != 5 {
		t.Errorf("listen %v, want 5 waiting", byProc.Listen)
	}
}

func compare(t *testing.T, by string, s *capture.Sample, want [capture.NumStates]int) {
	t.Helper()
	if s.Err != "" || s.Sockets != want || s.Unaccepted != 5 || s.UnacceptedCloseWait != 2 || len(s.Conns) != 12 {
		t.Errorf("%s: sockets %v, unaccepted %d, in CLOSE_WAIT %d, %d conns, err %q; want %v, 5, 2, 12, none",
			by, s.Sockets, s.Unaccepted, s.UnacceptedCloseWait, len(s.Conns), s.Err, want)
	}
	fds, err := countEntries(fmt.Sprintf("/proc/%d/fd", os.Getpid()))
	if err != nil || s.FDs < fds-3 || s.FDs > fds+3 { // the count opens a descriptor or two itself
		t.Errorf("%s: %d descriptors, the directory has %d (%v)", by, s.FDs, fds, err)
	}
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if s.FDLimit != int(limit.Cur) {
		t.Errorf("%s: limit %d, want %d", by, s.FDLimit, limit.Cur)
	}
}

// TestFindsOurselves looks for this process by its port, among all others.
func TestFindsOurselves(t *testing.T) {
	l := listen(t, 1)
	p := prober(t, Options{Ports: []uint16{l.port, 1}})
	if s := p.Sample(time.Now()); s.PID != os.Getpid() || s.Err != "" {
		t.Errorf("pid %d, err %q; want %d", s.PID, s.Err, os.Getpid())
	}
}

// TestAppearsWhileASearchIsTooDear: however long the next search has to wait,
// a listener that is new ends the waiting; one that is known does not.
func TestAppearsWhileASearchIsTooDear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	addr := l.Addr().String()
	number := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	p, err := New(Options{Ports: []uint16{number}})
	check(t, err)
	defer p.Close()
	if p.diag == nil {
		t.Fatal("no netlink here")
	}
	now := time.Now()
	if s := p.Sample(now); s.PID != 0 {
		t.Fatalf("process %d before anybody listens", s.PID)
	}
	p.nextTry = now.Add(time.Minute)
	if s := p.Sample(now.Add(time.Second)); s.PID != 0 || s.Err == "" {
		t.Fatalf("process %d, error %q while nobody listens", s.PID, s.Err)
	}
	l, err = net.Listen("tcp", addr)
	check(t, err)
	defer l.Close()
	if s := p.Sample(now.Add(2 * time.Second)); s.PID != os.Getpid() || s.Err != "" {
		t.Fatalf("process %d, error %q, want %d at once", s.PID, s.Err, os.Getpid())
	}
	if p.appeared() {
		t.Error("what was found counts as new")
	}
}

// TestManyPorts puts the wanted port last in a long filter, and then beyond
// what a filter holds.
func TestManyPorts(t *testing.T) {
	l := listen(t, 10)
	l.dial(3)
	for _, n := range []int{2, 300, maxFilterPorts, maxFilterPorts + 1} {
		var ports []uint16
		for i := range n - 1 {
			ports = append(ports, uint16(1+i))
		}
		p := prober(t, Options{Ports: append(ports, l.port), PID: os.Getpid()})
		s := p.Sample(time.Now())
		if p.diag == nil || s.Sockets[capture.Established] < 3 || s.Unaccepted < 3 {
			t.Errorf("%d ports: netlink %v, %d established, %d unaccepted (%s); want 3 and 3", n, p.diag != nil, s.Sockets[capture.Established], s.Unaccepted, s.Err)
		}
	}
}

func TestDescriptorCountNeedsNoReading(t *testing.T) {
	p := proc{root: "/proc"}
	a, err := p.countFDs(os.Getpid())
	check(t, err)
	b, err := countEntries(filepath.Join("/proc", strconv.Itoa(os.Getpid()), "fd"))
	check(t, err)
	if d := b - a; d < -1 || d > 1 { // reading the directory opens it
		t.Errorf("by size %d, by reading %d", a, b)
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(appendDiagRequest(nil, 1, unix.AF_INET, allStates, []uint16{14265, 80}))
	f.Add(make([]byte, 160))
	f.Fuzz(func(t *testing.T, b []byte) {
		tab := table{ports: []uint16{14265}, wantConns: true}
		parseDiag(b, 1, &tab)
	})
}
