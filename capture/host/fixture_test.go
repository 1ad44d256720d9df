package host

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stallwatch/capture"
)

// unpack writes an archive to a directory; a process's net directory that the
// archive only gives in part is filled up from self/net.
func unpack(t *testing.T, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "proc", name))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range a.Files {
		write(t, filepath.Join(root, f.Name), string(f.Data))
	}
	return root
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if target, ok := strings.CutPrefix(data, "-> "); ok {
		err = os.Symlink(strings.TrimSpace(target), path)
	} else {
		err = os.WriteFile(path, []byte(data), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// node unpacks node.txtar and links the process's socket table to ours.
func node(t *testing.T) string {
	root := unpack(t, "node.txtar")
	for _, f := range []string{"tcp", "tcp6"} {
		if err := os.Link(filepath.Join(root, "self/net", f), filepath.Join(root, "4242/net", f)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func prober(t *testing.T, o Options) *Prober {
	t.Helper()
	if o.Ports == nil {
		o.Ports = []uint16{14265}
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

var t0 = time.Unix(1515672000, 0)

func TestSampleFixture(t *testing.T) {
	root := node(t)
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{name: "by the listening port", o: Options{Root: root}},
		{name: "by pid", o: Options{Root: root, PID: 4242}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := prober(t, tt.o)
			checkNode(t, p.Sample(t0))
			if s := p.Sample(t0.Add(time.Second)); s.Conns != nil {
				t.Errorf("the second sample has Conns %v, want none until asked", s.Conns)
			}
			p.WantConns()
			if s := p.Sample(t0.Add(2 * time.Second)); len(s.Conns) != 6 {
				t.Errorf("after WantConns: %d Conns, want 6", len(s.Conns))
			}
		})
	}
}

func checkNode(t *testing.T, s *capture.Sample) {
	t.Helper()
	if s.PID != 4242 || s.Process != "iri" || s.FDs != 4 || s.FDLimit != 4096 || s.Err != "" {
		t.Errorf("got pid %d (%s), %d of %d descriptors, err %q; want 4242 (iri), 4 of 4096", s.PID, s.Process, s.FDs, s.FDLimit, s.Err)
	}
	want := [capture.NumStates]int{capture.Established: 3, capture.CloseWait: 2, capture.LastAck: 1, capture.TimeWait: 1, capture.Listen: 1}
	if s.Sockets != want || s.Unaccepted != 2 || s.UnacceptedCloseWait != 1 {
		t.Errorf("sockets %v, unaccepted %d, in CLOSE_WAIT %d; want %v, 2, 1", s.Sockets, s.Unaccepted, s.UnacceptedCloseWait, want)
	}
	if s.Overflows != 20 || s.Drops != 21 || s.Stale {
		t.Errorf("overflows %d, drops %d, stale %v; want 20, 21, false", s.Overflows, s.Drops, s.Stale)
	}
	if len(s.Listen) != 1 || s.Listen[0] != (capture.Backlog{Addr: netip.MustParseAddrPort("[::]:14265"), Queue: 3, Max: -1}) {
		t.Errorf("listen %v, want [::]:14265 with 3 waiting", s.Listen)
	}
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("::1"), netip.MustParseAddr("2001:db8::1")}
	if !slices.Equal(s.Addrs, addrs) {
		t.Errorf("addresses %v, want %v", s.Addrs, addrs)
	}
	first := capture.Socket{Flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("192.0.2.7:49153")), Server: capture.EndpointOf(netip.MustParseAddrPort("192.0.2.10:14265"))}, State: capture.Established, Accepted: true}
	if len(s.Conns) != 6 || !slices.Contains(s.Conns, first) {
		t.Errorf("conns %v, want 6 with %v", s.Conns, first)
	}
}

func TestUnit(t *testing.T) {
	cgroups := t.TempDir()
	write(t, filepath.Join(cgroups, "system.slice/iri.service/cgroup.procs"), "100\n4242\n")
	root := node(t)
	for _, f := range []string{"tcp", "tcp6"} {
		write(t, filepath.Join(root, "100/net", f), "")
		b, _ := os.ReadFile(filepath.Join(root, "self/net", f))
		write(t, filepath.Join(root, "100/net", f), string(b))
	}
	for _, unit := range []string{"iri", "iri.service"} {
		if s := prober(t, Options{Root: root, Cgroups: cgroups, Unit: unit}).Sample(t0); s.PID != 4242 {
			t.Errorf("unit %q: pid %d (%s), want 4242: the process that listens", unit, s.PID, s.Err)
		}
	}
	for _, tt := range []struct{ name, group, unit string }{
		{"an instance of a template", "system.slice/system-iri.slice/iri@1.service", "iri@1"},
		{"cgroup v1", "systemd/system.slice/node.service", "node"},
		{"a scope whose processes are below it", "system.slice/libpod-12ab.scope/container/init.scope", "libpod-12ab.scope"},
	} {
		dir := t.TempDir()
		for at := tt.group; at != "."; at = filepath.Dir(at) {
			write(t, filepath.Join(dir, at, "cgroup.procs"), "")
		}
		if err := os.WriteFile(filepath.Join(dir, tt.group, "cgroup.procs"), []byte("100\n4242\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if s := prober(t, Options{Root: root, Cgroups: dir, Unit: tt.unit}).Sample(t0); s.PID != 4242 {
			t.Errorf("%s: pid %d (%s), want 4242", tt.name, s.PID, s.Err)
		}
	}
	s := prober(t, Options{Root: root, Cgroups: cgroups, Unit: "other"}).Sample(t0)
	if s.PID != 0 || !strings.Contains(s.Err, "other.service") || s.FDs != unknown {
		t.Errorf("unknown unit: %+v", s)
	}
}

func TestErrorsNameTheCure(t *testing.T) {
	root := node(t)
	hidden := node(t)
	if err := os.RemoveAll(filepath.Join(hidden, "4242/fd")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    Options
		want []string
		open int // sockets that are seen all the same
	}{
		{name: "nothing listens", o: Options{Root: root, Ports: []uint16{9}}, want: []string{"port 9", "--pid"}},
		{name: "nobody to be seen holds the socket", o: Options{Root: hidden}, want: []string{"port 14265, though a socket does", "--pid=host", "CAP_SYS_PTRACE"}, open: 3},
		{name: "pid is gone", o: Options{Root: root, PID: 7}, want: []string{"process 7 is not running"}},
		{name: "no procfs", o: Options{Root: t.TempDir()}, want: []string{"nothing on this machine listens"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := prober(t, tt.o).Sample(t0)
			for _, w := range tt.want {
				if !strings.Contains(s.Err, w) || strings.Contains(s.Err, "\n") {
					t.Errorf("Err %q, want one line with %q", s.Err, w)
				}
			}
			if s.FDs != unknown || s.FDLimit != unknown || s.Sockets[capture.Established] != tt.open {
				t.Errorf("%d of %d descriptors, %d established; want unknown and %d", s.FDs, s.FDLimit, s.Sockets[capture.Established], tt.open)
			}
		})
	}
}

// TestRestart lets the node end and another process take its port.
func TestRestart(t *testing.T) {
	root := node(t)
	p := prober(t, Options{Root: root})
	p.cpu = func() time.Duration { return 0 }
	if s := p.Sample(t0); s.PID != 4242 {
		t.Fatalf("pid %d (%s), want 4242", s.PID, s.Err)
	}
	if err := os.Rename(filepath.Join(root, "4242"), filepath.Join(root, "5000")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "5000/stat2"), "")
	b, _ := os.ReadFile(filepath.Join(root, "5000/stat"))
	if err := os.WriteFile(filepath.Join(root, "5000/stat"), []byte(strings.Replace(string(b), "4242", "5000", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := p.Sample(t0.Add(time.Second)); s.PID != 5000 || s.Err != "" || len(s.Conns) != 0 {
		t.Errorf("after the restart: pid %d (%s), want 5000", s.PID, s.Err)
	}
	if err := os.WriteFile(filepath.Join(root, "5000/stat"), []byte("5000 (iri) Z 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "5000/x"), "")
	if err := os.RemoveAll(filepath.Join(root, "5000/fd")); err != nil {
		t.Fatal(err)
	}
	if s := p.Sample(t0.Add(2 * time.Second)); s.PID != 0 || s.Err == "" || s.FDs != unknown {
		t.Errorf("after its end: pid %d, err %q, %d descriptors; want none, a reason, unknown", s.PID, s.Err, s.FDs)
	}
}

// TestEndsWhileLookedAt: of a process that ends between two reads, and whose pid
// another one gets, nothing is told as the node's.
func TestEndsWhileLookedAt(t *testing.T) {
	for _, tt := range []struct{ name, stat string }{
		{"a zombie", "4242 (iri) Z 1"},
		{"another process of its pid", "4242 (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999999 0"},
	} {
		root := node(t)
		p := prober(t, Options{Root: root})
		n := 0
		p.cpu = func() time.Duration { // read after the process was found, before it is looked at
			if n++; n == 3 {
				if err := os.WriteFile(filepath.Join(root, "4242/stat"), []byte(tt.stat), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			return 0
		}
		if s := p.Sample(t0); n < 4 || s.FDs != unknown || s.FDLimit != unknown || !strings.Contains(s.Err, "process 4242 ended while") {
			t.Errorf("%s: %d of %d descriptors, err %q (%d readings of the clock); want unknown and a reason", tt.name, s.FDs, s.FDLimit, s.Err, n)
		}
	}
}

// TestBackOff holds full samples to one percent of a core, in virtual time:
// two minutes of one sample a second, of which a full one costs so much. What
// is cheap is in every sample.
func TestBackOff(t *testing.T) {
	for _, tt := range []struct {
		cost time.Duration
		full int // samples of 120
	}{
		{cost: time.Millisecond, full: 120},
		{cost: 9 * time.Millisecond, full: 120},
		{cost: 11 * time.Millisecond, full: 60},
		{cost: 40 * time.Millisecond, full: 30},
		{cost: 200 * time.Millisecond, full: 6},
		{cost: 3 * time.Second, full: 1},
	} {
		t.Run(tt.cost.String(), func(t *testing.T) {
			root := node(t)
			p := prober(t, Options{Root: root, PID: 4242})
			var spent time.Duration
			p.cpu = func() time.Duration { spent += tt.cost; return spent } // read before and after
			full, fds := 0, 4
			for i := range 120 {
				s := p.Sample(t0.Add(time.Duration(i) * time.Second))
				if !s.Stale {
					full++
					fds = 4 + i
				}
				if s.Sockets[capture.Established] != 3 || len(s.Listen) != 1 || s.FDLimit != 4096 || s.FDs != fds {
					t.Fatalf("sample %d: %d established, listen %v, %d of %d descriptors; want 3, one, %d of 4096", i, s.Sockets[capture.Established], s.Listen, s.FDs, s.FDLimit, fds)
				}
				write(t, filepath.Join(root, fmt.Sprint("4242/fd/", 100+i)), "-> /dev/null")
			}
			if full != tt.full {
				t.Errorf("%d full samples, want %d", full, tt.full)
			}
		})
	}
}

func FuzzParseTCPLine(f *testing.F) {
	f.Add([]byte("   1: 0100007F:37B9 0100007F:A002 01 00000000:00000000 00:00000000 00000000     0        0 777 1\n"))
	f.Add([]byte("1: 0:0 0 0 0 0 0 0 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		tab := table{ports: []uint16{14265}, wantConns: true}
		if e, ok := parseTCPLine(line, &tab); ok {
			tab.add(&e)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "no port"},
		{Options{Ports: []uint16{1}, PID: -1}, "positive"},
		{Options{Ports: []uint16{1}, PID: 1, Unit: "x"}, "one of them"},
		{Options{Ports: []uint16{1}, Unit: "../x"}, "without a path"},
	} {
		if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%+v) = %v, want %q", tt.o, err, tt.want)
		}
	}
}
