package host

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// crowd is a port with many connections, in a network namespace of its own
// that the calling goroutine's thread has entered: the figures must not
// depend on what else runs on the machine. Both ends are there, so the kernel
// walks twice as many sockets as the port has.
type crowd struct {
	port               uint16
	established, close int // of the port's own, CLOSE_WAIT
}

// perHolder is how many connections a process can hold both ends of, and do
// the rest of its work, under the hard limit of this machine: a program in Go
// raises its limit to that one by itself, beyond takes CAP_SYS_RESOURCE.
func perHolder(b testing.TB) int {
	b.Helper()
	var limit unix.Rlimit
	check(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	return min(9000, int(min(limit.Max, 1<<20)-200)/2)
}

// gather makes n connections of which every second one is half closed by its
// client. Processes of their own hold them.
func gather(b testing.TB, n int) crowd {
	b.Helper()
	ownNamespace(b)
	const port = 14265
	fd, err := listenOn(port, 1)
	check(b, err)
	file := os.NewFile(uintptr(fd), "listener")
	b.Cleanup(func() { file.Close() })
	most := perHolder(b)
	for i := 0; i*most < n; i++ {
		startHolder(b, file, port, i, min(most, n-i*most))
	}
	return crowd{port: port, established: (n + 1) / 2, close: n / 2}
}

// startHolder starts this program once more as a holder of n connections and
// waits until it has them.
func startHolder(b testing.TB, listener *os.File, port uint16, i, n int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("STALLWATCH_HOLDER=%d %d %d", port, i, n))
	cmd.ExtraFiles = []*os.File{listener}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	check(b, err)
	out, err := cmd.StdoutPipe()
	check(b, err)
	check(b, cmd.Start())
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.Fatalf("holder %d: %q, %v", i, line, err)
	}
}

// TestMain is a holder when startHolder asks for it, and a container when
// startContainer does. Both end with their standard input.
func TestMain(m *testing.M) {
	err := beContainer()
	if err == nil {
		err = beHolder()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func beHolder() error {
	var port uint16
	var i, n int
	if _, err := fmt.Sscan(os.Getenv("STALLWATCH_HOLDER"), &port, &i, &n); err != nil {
		return nil
	}
	const listener = 3 // the first of ExtraFiles
	if err := connections(port, listener, netip.AddrFrom4([4]byte{127, 1, byte(i), 1}), n, n); err != nil {
		return fmt.Errorf("holder: %w", err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
	return nil
}

// connections makes n of them to port, from an address of its own, for an
// address has 28,000 ports only, and has the listener accept so many. Every
// second is half closed by its client.
func connections(port uint16, listener int, from netip.Addr, n, accept int) error {
	for k := range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}); err != nil {
			return err
		}
		if k < accept {
			if _, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC); err != nil {
				return err
			}
		}
		if k%2 == 0 {
			continue
		}
		if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
			return err
		}
	}
	return nil
}

// ownNamespace moves the goroutine, bound to its thread, to a new network
// namespace for good. The thread ends with the goroutine.
func ownNamespace(b testing.TB) {
	b.Helper()
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == unix.EPERM && os.Getenv("CI") == "" {
		b.Skipf("needs the right to make a network namespace: %v", err)
	}
	check(b, err)
	check(b, loopbackUp())
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// listenOn listens on a port that no client is given for its own.
func listenOn(port uint16, backlog int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, backlog)
}

// prober looks at the crowd's namespace as at its own.
func (c crowd) prober(b testing.TB) *Prober {
	b.Helper()
	p, err := New(Options{Ports: []uint16{c.port}, PID: os.Getpid()})
	check(b, err)
	b.Cleanup(func() { p.Close() })
	if p.diag == nil {
		b.Fatal("netlink was refused on this machine")
	}
	p.pid, p.netDir = os.Getpid(), "/proc/thread-self/net"
	p.started, _ = p.proc.alive(p.pid)
	own, ok := namespaceID(p.netDir)
	if !ok {
		b.Fatal("no namespace")
	}
	p.own = own
	return p
}

func (c crowd) check(b testing.TB, s *capture.Sample) {
	b.Helper()
	if s.Err != "" || s.Sockets[capture.Established] != c.established || s.Sockets[capture.CloseWait] != c.close {
		b.Fatalf("%d established, %d in CLOSE_WAIT (%s); want %d and %d",
			s.Sockets[capture.Established], s.Sockets[capture.CloseWait], s.Err, c.established, c.close)
	}
}

// BenchmarkSample measures a full sample, never put off, of a port with so
// many connections: by netlink, by /proc, and each with the whole table.
func BenchmarkSample(b *testing.B) {
	for _, n := range []int{4000, 50000} {
		for _, way := range []string{"netlink", "proc"} {
			for _, conns := range []bool{false, true} {
				name := fmt.Sprintf("%d/%s", n, way)
				if conns {
					name += "/conns"
				}
				b.Run(name, func(b *testing.B) { benchSample(b, n, way, conns) })
			}
		}
	}
}

func benchSample(b *testing.B, n int, way string, conns bool) {
	c := gather(b, n)
	p := c.prober(b)
	if way == "proc" {
		check(b, p.Close())
	}
	p.wantConns.Store(false)
	cpu := threadCPU()
	b.ReportAllocs()
	for b.Loop() {
		p.nextFull = time.Time{} // never backs off
		if conns {
			p.WantConns()
		}
		c.check(b, p.Sample(time.Now()))
	}
	b.ReportMetric(float64(threadCPU()-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkSecond is what a second of watching costs: a sample each second of
// virtual time, full ones as seldom as their real cost asks for.
func BenchmarkSecond(b *testing.B) {
	for _, n := range []int{4000, 50000} {
		for _, way := range []string{"netlink", "proc"} {
			b.Run(fmt.Sprintf("%d/%s", n, way), func(b *testing.B) {
				c := gather(b, n)
				p := c.prober(b)
				if way == "proc" {
					check(b, p.Close())
				}
				now, full := t0, 0
				p.Sample(now)
				p.nextFull = now
				cpu := threadCPU()
				b.ReportAllocs()
				for b.Loop() {
					now = now.Add(time.Second)
					s := p.Sample(now)
					c.check(b, s)
					if !s.Stale {
						full++
					}
				}
				b.ReportMetric((threadCPU()-cpu).Seconds()/float64(b.N)*100, "%core")
				b.ReportMetric(float64(b.N)/float64(full), "s/full")
			})
		}
	}
}
