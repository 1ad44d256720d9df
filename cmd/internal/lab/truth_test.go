package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stallwatch/cmd/internal/demo"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == demo.NodeCommand {
		os.Exit(demo.NodeMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// tcpTable is /proc/net/tcp of a node under attack, as Linux 6 writes it,
// with one line whose queue columns run wide.
const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:37B9 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0100007F:37B9 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1
   2: 0100007F:37B9 0100007F:A002 08 00000000:00000001 00:00000000 00000000     0        0 13 1 0 20 4 30 10 -1
   3: 0100007F:37B9 0100007F:A003 08 00000000:000000B1 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   4: 0100007F:37B9 0100007F:A004 01 00000000:000000B0 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   5: 0100007F:37B9 0100007F:A005 06 00000000:00000000 03:00000F1B 00000000     0        0 0 3 0
   6: 0100007F:A001 0100007F:37B9 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0 20 4 30 10 -1
10007: 0100007F:37B9 0100007F:A006 01 1000000000:00000000 00:00000000 00000000     0        0 15 1 0 20 4 30 10 -1
`

const limits = `Limit                     Soft Limit           Hard Limit           Units     
Max open files            128                  128                  files     
`

// TestRead takes a truth from a /proc in a directory.
func TestRead(t *testing.T) {
	proc := t.TempDir()
	for name, text := range map[string]string{
		"7/net/tcp": tcpTable, "7/net/tcp6": tcpTable[:strings.Index(tcpTable, "\n")+1], "7/limits": limits,
		"7/fd/0": "", "7/fd/1": "", "7/fd/2": "",
	} {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := read(proc, Target{PID: 7, Port: 14265})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("fds %d of %d, unaccepted %d (%d half closed), queue %d, %v",
		tr.FDs, tr.FDLimit, tr.Unaccepted, tr.UnacceptedCloseWait, tr.ListenQueue, tr.Sockets) + tr.Err
	want := "fds 3 of 128, unaccepted 2 (1 half closed), queue 3, map[close_wait:2 established:3 listen:1 time_wait:1]"
	if got != want {
		t.Errorf("got  %s\nwant %s\ntable\n%s", got, want, tcpTable)
	}
	var successor atomic.Int64
	successor.Store(7)
	if tr, err = read(proc, Target{PID: 6, Port: 14265, Successor: &successor}); err != nil || tr.PID != 7 || tr.FDs != 3 {
		t.Errorf("got %+v (%v), want the truth of the process that took over", tr, err)
	}
}

// TestSpread: a crowd has no address twice.
func TestSpread(t *testing.T) {
	seen := map[netip.Addr]bool{}
	crowd := netip.MustParsePrefix("10.79.0.0/16")
	for _, a := range spread(crowd, 3600) {
		if seen[a] || !crowd.Contains(a) || a == crowd.Addr() {
			t.Fatalf("%s is there twice or not of %s", a, crowd)
		}
		seen[a] = true
	}
}

func TestReadBadTable(t *testing.T) {
	for _, line := range []string{"0: x", "0: 0100007F:ZZZZ 0:0 01 0:0 0:0 0 0 0 9", "0: 0100007F:37B9 0:0 XX 0:0 0:0 0 0 0 9", "0: 0100007F:37B9 0:0 0A 0:ZZ 0:0 0 0 0 9"} {
		tr := Truth{Port: 14265, Sockets: map[string]int{}}
		if err := tr.count([]byte("header\n"+line+"\n"), true); err == nil {
			t.Errorf("line %q was accepted as %+v", line, tr)
		}
	}
}

// TestRecord holds connections to a real node, half of them given up, and
// reads what the kernel says.
func TestRecord(t *testing.T) {
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		t.Skip("no socket tables of Linux here")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := demo.Start(exe, demo.NodeOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	body := `{"command":"getTransactionsToApprove","reference":"` + demo.Reference + `"}`
	for i := range 6 {
		c, err := net.Dial("tcp", p.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// The interim response proves that the node has accepted.
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nX-IOTA-API-Version: 1\r\nContent-Length: %d\r\n\r\n", len(body))
		if _, err := c.Read(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, body)
		if i < 3 {
			c.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &enough{lines: 4, done: cancel}
	if err := Record(ctx, "/proc", []Target{{PID: p.PID, Port: p.Addr.Port()}}, Every, out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(out.String()) {
		n++
		var tr Truth
		if err := json.Unmarshal([]byte(line), &tr); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if tr.Sockets["close_wait"] != 3 || tr.Sockets["established"] != 3 || tr.FDs < 6+8 || tr.FDLimit != 128 {
			t.Errorf("got %s want 3 close_wait, 3 established, at least 14 descriptors of 128", line)
		}
	}
	if n != 4 {
		t.Errorf("%d truths, want 4", n)
	}
}

// enough says so when it has that many lines, one a Write.
type enough struct {
	bytes.Buffer
	lines int
	done  func()
}

func (e *enough) Write(b []byte) (int, error) {
	if e.lines--; e.lines == 0 {
		e.done()
	}
	return e.Buffer.Write(b)
}

// TestScenarios: names become file names and arguments of a shell script.
func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(s.Name) || seen[s.Name] || s.Doc == "" || s.Play == nil {
			t.Errorf("scenario %q (%q) is incomplete, twice there or ill named", s.Name, s.Doc)
		}
		seen[s.Name] = true
	}
}

// TestWatch: the word may come in pieces, and what is kept is bounded.
func TestWatch(t *testing.T) {
	w := newWatch("listening on")
	fmt.Fprint(w, "tcpdump: listen")
	select {
	case <-w.seen:
		t.Fatal("half a word counts")
	default:
	}
	fmt.Fprint(w, "ing on lo\n")
	if err := w.wait(time.Minute); err != nil {
		t.Error(err)
	}
	fmt.Fprint(w, strings.Repeat("x", 2*maxText)+"\na\nb\nc\n")
	if got := w.lastLines(2); got != "b; c" {
		t.Errorf("last lines %q, want %q", got, "b; c")
	}
	if len(w.text) > maxText {
		t.Errorf("keeps %d bytes, want at most %d", len(w.text), maxText)
	}
}
