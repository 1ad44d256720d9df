package pipeline

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var soakPackets = flag.Int("soak", 60_000, "packets of each flood of TestSoak; a million takes some 15 s")

// soaker sends forged packets through a Pipeline and looks at the memory.
type soaker struct {
	t      *testing.T
	p      *Pipeline
	f      synth.Forge
	at     capture.Time
	n      int // packets of this flood
	memory int64
	worst  uint64 // bytes live after a collection
	held   uint64 // bytes held from the system
}

// send plays a packet; half a million of them are a second.
func (s *soaker) send(k int, dir capture.Dir, flags capture.Flags, seq, ack uint32, b []byte) {
	s.at = s.at.Add(2 * time.Microsecond)
	data := s.f.Frame(k, dir, flags, seq, ack, b)
	s.p.Item(&capture.Item{At: s.at, Kind: capture.PacketSeen, Packet: capture.Packet{Data: data, Length: len(data), Link: capture.LinkEthernet}})
	if s.n++; s.n%(1<<16) == 0 {
		s.look()
	}
}

func (s *soaker) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.held = max(s.held, m.Sys-m.HeapReleased)
	runtime.GC()
	runtime.ReadMemStats(&m)
	s.worst = max(s.worst, m.HeapAlloc)
}

func (s *soaker) open(k int) {
	s.send(k, capture.ToServer, capture.SYN, 99, 0, nil)
	s.send(k, capture.ToClient, capture.SYN|capture.ACK, 499, 100, nil)
	s.send(k, capture.ToServer, capture.ACK, 100, 500, nil)
}

const soakCall = "POST / HTTP/1.1\r\nHost: node:14265\r\nUser-Agent: curl/8.5.0\r\nContent-Length: 25\r\n\r\n{\"command\":\"getNodeInfo\"}"

// floods are what an attacker, or a bad day, does to the tables. Each plays
// about n packets, from client number from on.
var floods = []struct {
	name string
	play func(s *soaker, from, n int)
}{
	{"SYN flood", func(s *soaker, from, n int) {
		for k := range n {
			s.send(from+k, capture.ToServer, capture.SYN, uint32(k), 0, nil)
		}
	}},
	{"idle connections", func(s *soaker, from, n int) {
		answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		for k := range n / 5 {
			s.open(from + k)
			s.send(from+k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte(soakCall))
			s.send(from+k, capture.ToClient, capture.ACK|capture.PSH, 500, 100+uint32(len(soakCall)), answer)
		}
	}},
	{"short connections", func(s *soaker, from, n int) {
		for k := range n / 5 {
			s.open(from + k)
			s.send(from+k, capture.ToServer, capture.ACK|capture.FIN, 100, 500, nil)
			s.send(from+k, capture.ToClient, capture.ACK|capture.FIN, 500, 101, nil)
		}
	}},
	{"out of order", func(s *soaker, from, n int) {
		b := []byte(strings.Repeat("x", 1000))
		const conns = 2000
		for k := range conns {
			s.open(from + k)
		}
		for i := range n - 3*conns {
			s.send(from+i%conns, capture.ToServer, capture.ACK, 200+uint32(i/conns)*1500, 500, b)
		}
	}},
	{"endless heads", func(s *soaker, from, n int) {
		line := []byte("X-Flood: " + strings.Repeat("y", 900) + "\r\n")
		const conns = 3000
		slowly(s, from, conns, n, []byte("GET / HTTP/1.1\r\n"), line)
	}},
	{"endless contents", func(s *soaker, from, n int) {
		head := []byte("POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n{\"addresses\":[")
		slowly(s, from, 3000, n, head, []byte(strings.Repeat(`"`+strings.Repeat("A", 81)+`",`, 11)))
	}},
	{"pipelines", func(s *soaker, from, n int) {
		slowly(s, from, 500, n, []byte(soakCall), []byte(strings.Repeat("GET / HTTP/1.1\r\n\r\n", 50)))
	}},
	{"stalled calls", func(s *soaker, from, n int) {
		for k := range n / 4 {
			s.open(from + k)
			s.send(from+k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte(soakCall))
		}
	}},
}

// slowly opens conns connections, sends first on each and then next, in turn;
// the node acknowledges.
func slowly(s *soaker, from, conns, n int, first, next []byte) {
	for k := range conns {
		s.open(from + k)
		s.send(from+k, capture.ToServer, capture.ACK, 100, 500, first)
	}
	seq := 100 + uint32(len(first))
	for i := range (n - 4*conns) / 2 {
		if i > 0 && i%conns == 0 {
			seq += uint32(len(next))
		}
		s.send(from+i%conns, capture.ToServer, capture.ACK, seq, 500, next)
		s.send(from+i%conns, capture.ToClient, capture.ACK, 500, seq+uint32(len(next)), nil)
	}
}

// TestSoak holds Options.Memory under every flood, one after the other on the
// same Pipeline. Live is what is reachable; it may take two thirds of the
// whole and a bit for slices that are growing. Held is what the process has
// of the system, which the collector's limit keeps to the whole, with a
// twentieth for what it cannot help.
func TestSoak(t *testing.T) {
	const memory = 64 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
	debug.FreeOSMemory()
	for _, shards := range []int{1, 3} {
		p, err := New(Options{Rules: rules.Default(), Shards: shards, Memory: memory, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
		if err != nil {
			t.Fatal(err)
		}
		s := soaker{t: t, p: p, at: synth.Start, memory: memory}
		for i, f := range floods {
			s.n, s.worst, s.held = 0, 0, 0
			f.play(&s, i*2_000_000, *soakPackets)
			s.look()
			t.Logf("%d shards, %-18s %8d packets: %2d MiB live, %2d MiB held; %s", shards, f.name, s.n, s.worst>>20, s.held>>20, reachedText(p.Stats()))
			if s.worst > memory*3/4 || s.held > memory+memory/20 {
				t.Errorf("%d shards, %s: %d bytes live, %d held, of %d", shards, f.name, s.worst, s.held, int64(memory))
			}
		}
		if st := p.Stats(); len(st.Bounds()) < 6 {
			t.Errorf("%d shards: only %v was reached: the floods prove nothing", shards, st.Bounds())
		}
		p.Finish(s.at.Add(time.Second))
		if st := p.Stats(); st.Tracker.Buffered != 0 || st.Tracker.Opened != st.Tracker.Closed {
			t.Errorf("%d shards: after the end %d bytes are buffered, %d opened, %d closed", shards, st.Tracker.Buffered, st.Tracker.Opened, st.Tracker.Closed)
		}
		runtime.KeepAlive(p)
	}
}

func reachedText(st Stats) string {
	var list []string
	for _, b := range st.Bounds() {
		list = append(list, fmt.Sprintf("%s %d", b.Name, b.N))
	}
	return strings.Join(list, ", ")
}
