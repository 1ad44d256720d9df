package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"stallwatch/capture"
)

// TestServedPorts: of several watched ports only the sockets of those count
// that the process listens on; a proxy on the same machine has the others.
func TestServedPorts(t *testing.T) {
	root := node(t)
	table := filepath.Join(root, "self/net/tcp")
	add := func(line string) {
		t.Helper()
		f, err := os.OpenFile(table, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(line + " 1 ffff8881 20 4 30 10 -1\n")
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "100/fd/3"), "-> socket:[500]")
	add("   3: 0A0200C0:0016 070200C0:C001 08 00000000:00000000 00:00000000 00000000     0        0 501")
	add("   4: 0A0200C0:0016 070200C0:C002 01 00000000:00000000 00:00000000 00000000     0        0 0")

	for _, o := range []Options{{Root: root, Ports: []uint16{22, 14265}}, {Root: root, Ports: []uint16{14265, 22}, PID: 4242}} {
		p := prober(t, o)
		checkNode(t, p.Sample(t0))

		// The node opens the other port too, beside whoever has it.
		before, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(root, "4242/fd/9")
		write(t, link, "-> socket:[605]")
		add("   5: 0A0200C0:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 605")
		s := p.Sample(t0.Add(time.Hour))
		if n := s.Sockets[capture.CloseWait]; n != 3 || len(s.Listen) != 3 || s.PID != 4242 || s.Err != "" {
			t.Errorf("process %d: %d in CLOSE_WAIT, listeners %v, err %q after the second port was opened; want 4242, 3, all and none", s.PID, n, s.Listen, s.Err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(table, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	// Nobody's descriptors tell: every port counts.
	if err := os.RemoveAll(filepath.Join(root, "4242/fd")); err != nil {
		t.Fatal(err)
	}
	if s := prober(t, Options{Root: root, Ports: []uint16{22, 14265}, PID: 4242}).Sample(t0); s.Sockets[capture.CloseWait] != 3 {
		t.Errorf("%d in CLOSE_WAIT without a look at the descriptors, want 3", s.Sockets[capture.CloseWait])
	}
}
