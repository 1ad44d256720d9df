package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// TestNoAllocPerSocket holds the parsers to no allocation, whatever the number
// of sockets.
func TestNoAllocPerSocket(t *testing.T) {
	lines := bytes.NewBufferString("  sl  local_address\n")
	for i := range 500 {
		fmt.Fprintf(lines, "%4d: 0100007F:37B9 0200007F:%04X 08 00000000:00000001 00:00000000 00000000  1000        0 %d 1 ffff8881 20 4 30 10 -1\n", i, 1024+i, 1+i)
		fmt.Fprintf(lines, "%4d: B80D0120000000000000000001000000:37B9 B80D0120000000000000000002000000:C006 01 00000000:00000000 00:00000000 00000000     0        0 1 1 ffff8881\n", i)
	}
	var datagram []byte
	for range 500 {
		m := make([]byte, netlinkHeader+diagMsgSize)
		ne := binary.NativeEndian
		ne.PutUint32(m, uint32(len(m)))
		ne.PutUint16(m[4:], tcpDiagGetSock)
		ne.PutUint32(m[8:], 1)
		m[netlinkHeader], m[netlinkHeader+1] = unix.AF_INET6, byte(capture.CloseWait)
		binary.BigEndian.PutUint16(m[netlinkHeader+4:], 14265)
		datagram = append(datagram, m...)
	}
	tab := table{ports: []uint16{14265}, wantConns: true, conns: make([]capture.Socket, 0, 4096)}
	r := bytes.NewReader(nil)
	br := bufio.NewReaderSize(nil, 64<<10)
	for _, tt := range []struct {
		name string
		want [capture.NumStates]int
		f    func()
	}{
		{"/proc", [capture.NumStates]int{capture.CloseWait: 500, capture.Established: 500}, func() {
			r.Reset(lines.Bytes())
			br.Reset(r)
			check(t, parseTCP(br, &tab))
		}},
		{"netlink", [capture.NumStates]int{capture.CloseWait: 500}, func() {
			_, err := parseDiag(datagram, 1, &tab)
			check(t, err)
		}},
	} {
		n := testing.AllocsPerRun(10, func() {
			tab.sockets, tab.conns = [capture.NumStates]int{}, tab.conns[:0]
			tt.f()
		})
		if n != 0 || tab.sockets != tt.want {
			t.Errorf("%s: %v allocations, sockets %v; want none and %v", tt.name, n, tab.sockets, tt.want)
		}
	}
}

// TestAllocsOfASample holds a whole sample to what opening its files costs:
// as much with 2,000 connections as with 20.
func TestAllocsOfASample(t *testing.T) {
	for _, way := range []string{"netlink", "proc"} {
		var allocs [2]float64
		for i, n := range []int{20, 2000} {
			inThread(func() {
				c := gather(t, n)
				p := c.prober(t)
				if way == "proc" {
					check(t, p.Close())
				}
				p.wantConns.Store(false)
				allocs[i] = testing.AllocsPerRun(10, func() {
					p.nextFull = time.Time{}
					c.check(t, p.Sample(t0))
				})
			})
		}
		t.Logf("%s: %v", way, allocs)
		if allocs[1] > allocs[0]+1 || allocs[0] > 60 {
			t.Errorf("%s: %v allocations with 20 connections, %v with 2,000; want as many, and at most 60", way, allocs[0], allocs[1])
		}
	}
}

// inThread runs f in a goroutine of its own, whose thread f may spoil. That
// must not be the first one, which does not end with its goroutine and whose
// files /proc/self shows.
func inThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done) // f may end the goroutine, as a test that fails does
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			inThread(f)
			runtime.UnlockOSThread()
		} else {
			f()
		}
	}()
	<-done
}
