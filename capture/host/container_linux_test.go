package host

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// A container of the test is this program in network, pid and mount
// namespaces of its own, where it listens, holds connections to itself, and
// ends with its standard input.
type container struct {
	pid  int // as this machine sees it
	stop func()
}

const (
	containerPort  = 24659 // no node of this machine has it
	containerLimit = 234   // unlike any machine's, and below its hard limit
)

// startContainer starts one with n connections, every second of them half
// closed by its client, none accepted beyond accepted.
func startContainer(t *testing.T, n, accepted int) container {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("STALLWATCH_CONTAINER=%d %d", n, accepted))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	if err := cmd.Start(); os.IsPermission(err) && os.Getenv("CI") == "" {
		t.Skipf("needs the right to make namespaces: %v", err)
	} else {
		check(t, err)
	}
	stop := func() { in.Close(); cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(stop)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		stop() // what it complained of is whole only then
		t.Fatalf("container: %q, %v: %s", line, err, complaint.String())
	}
	return container{cmd.Process.Pid, stop}
}

// beContainer is the container's life, if the environment asks for it.
func beContainer() error {
	var n, accepted int
	if _, err := fmt.Sscan(os.Getenv("STALLWATCH_CONTAINER"), &n, &accepted); err != nil {
		return nil
	}
	if err := live(n, accepted); err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
	return nil
}

func live(n, accepted int) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("pid %d in the namespace, want 1", os.Getpid())
	}
	// Its own /proc, and nobody else's: mounts spread to the parent otherwise.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: containerLimit, Max: containerLimit}); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	fd, err := listenOn(containerPort, 128)
	if err != nil {
		return err
	}
	return connections(containerPort, fd, netip.MustParseAddr("127.1.1.1"), n, accepted)
}

// TestContainer looks from outside at a node in namespaces of its own: it is
// found by its port, and what is told is its own.
func TestContainer(t *testing.T) {
	c := startContainer(t, 20, 17)
	for _, tt := range []struct {
		name  string
		close bool
		max   int // of the accept queue
	}{
		{name: "by netlink in its namespace", max: 128},
		{name: "by /proc", close: true, max: unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := prober(t, Options{Ports: []uint16{containerPort}, PID: c.pid})
			if tt.close {
				p.far, p.farID = nil, mustID(t, c.pid) // as without CAP_SYS_ADMIN
			}
			checkContainer(t, p.Sample(t0), c.pid, tt.max)
			if (p.far == nil) != tt.close {
				t.Errorf("netlink in the other namespace: %v", p.far)
			}
		})
	}
	t.Run("we stay where we are", func(t *testing.T) {
		own, err := os.Readlink("/proc/self/ns/net")
		check(t, err)
		tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
		check(t, err)
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != own {
				t.Errorf("%s is in %s, want %s", task, ns, own)
			}
		}
	})
}

func mustID(t *testing.T, pid int) uint64 {
	t.Helper()
	id, ok := namespaceID(filepath.Join("/proc", strconv.Itoa(pid), "net"))
	if !ok {
		t.Fatalf("process %d has no namespace", pid)
	}
	return id
}

func checkContainer(t *testing.T, s *capture.Sample, pid, most int) {
	t.Helper()
	want := [capture.NumStates]int{capture.Established: 10, capture.CloseWait: 10, capture.Listen: 1}
	if s.Err != "" || s.PID != pid || s.Sockets != want || s.Unaccepted != 3 || len(s.Conns) != 20 {
		t.Errorf("pid %d, sockets %v, %d unaccepted, %d conns, err %q; want %d, %v, 3, 20, none", s.PID, s.Sockets, s.Unaccepted, len(s.Conns), s.Err, pid, want)
	}
	if s.FDLimit != containerLimit || s.FDs < 40 || s.FDs > 60 {
		t.Errorf("%d of %d descriptors, want some 40 of %d", s.FDs, s.FDLimit, containerLimit)
	}
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
	if !slices.Equal(s.Addrs, addrs) {
		t.Errorf("addresses %v, want those of its namespace, %v", s.Addrs, addrs)
	}
	if len(s.Listen) != 1 || s.Listen[0].Queue != 3 || s.Listen[0].Max != most {
		t.Errorf("listen %v, want 3 of %d waiting", s.Listen, most)
	}
}

// TestOurNamespaceGoesFirst: a container that listens on the node's port was
// there before the node. Once the node listens here, it is the one.
func TestOurNamespaceGoesFirst(t *testing.T) {
	startContainer(t, 4, 4)
	p := prober(t, Options{Ports: []uint16{containerPort}})
	p.cpu = func() time.Duration { return 0 }
	if s := p.Sample(t0); s.PID == 0 || !p.away { // the container, or another that this machine has
		t.Fatalf("pid %d (%s), away %v; want one elsewhere", s.PID, s.Err, p.away)
	}
	fd, err := listenOn(containerPort, 8)
	check(t, err)
	defer unix.Close(fd)
	if s := p.Sample(t0.Add(time.Second)); s.PID != os.Getpid() || s.Err != "" {
		t.Errorf("pid %d (%s), want our own, %d", s.PID, s.Err, os.Getpid())
	}
	if s := p.Sample(t0.Add(2 * time.Second)); s.PID != os.Getpid() || p.away {
		t.Errorf("pid %d (%s), away %v", s.PID, s.Err, p.away)
	}
}

// TestContainerRestart kills the container and starts another: the prober
// says so, finds the new one by the port, and lets the old namespace go.
func TestContainerRestart(t *testing.T) {
	first := startContainer(t, 4, 4)
	p := prober(t, Options{Ports: []uint16{containerPort}})
	p.cpu = func() time.Duration { return 0 } // looks again at once
	if s := p.Sample(t0); s.PID != first.pid {
		t.Fatalf("pid %d (%s), want %d", s.PID, s.Err, first.pid)
	}
	first.stop()
	s := p.Sample(t0.Add(time.Second))
	if s.PID != 0 || s.Err == "" || p.far != nil {
		t.Errorf("while it is down: pid %d, err %q, netlink %v; want none, a reason, none", s.PID, s.Err, p.far)
	}
	again := p.Sample(t0.Add(2 * time.Second))
	if again.Err != s.Err {
		t.Errorf("the reason changes from %q to %q", s.Err, again.Err)
	}
	second := startContainer(t, 20, 17)
	p.WantConns()
	checkContainer(t, p.Sample(t0.Add(3*time.Second)), second.pid, 128)
}
