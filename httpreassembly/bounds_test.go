package httpreassembly

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"stallwatch/capture"
)

// TestRecentlySeenAreEvictedLast: of idle connections the one goes that was
// silent longest, not the one that was opened first.
func TestRecentlySeenAreEvictedLast(t *testing.T) {
	w := wire{tr: New(Options{MaxConns: 4}), now: epoch}
	for n := range 4 {
		w.open(n)
	}
	w.open(4) // the hand of the clock passes all: each has been seen
	for _, n := range []int{2, 4} {
		w.send(clientEnd(n), serverEnd, capture.ACK, 100, 500, "")
	}
	w.open(5)
	for n, want := range []bool{false, false, true, true, true, true} {
		s := capture.Segment{Src: clientEnd(n), Dst: serverEnd}
		if c, _ := w.tr.table.find(w.tr.table.hash(&s), &s); (c != nil) != want {
			t.Errorf("connection %d is followed: %t, want %t", n, c != nil, want)
		}
	}
	verify(t, w.tr)
}

// TestOneConnectionIsBounded: what a single client sends beyond a hole is
// bounded in bytes and in pieces, and the rest counted.
func TestOneConnectionIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int
	}{{"bytes", 1400}, {"pieces", 1}} {
		w := wire{tr: New(Options{MaxConnBuffered: 256 << 10}), now: epoch}
		w.open(0)
		b := string(bytes.Repeat([]byte("x"), tt.size))
		for i := range 3000 {
			w.send(clientEnd(0), serverEnd, capture.ACK, 110+uint32(i*2*tt.size)%60_000, 500, b)
		}
		held := w.tr.table.slab.at(1).half[capture.ToServer].held
		if held == nil || held.cost > 256<<10 || len(held.pieces) > maxPieces {
			t.Errorf("%s: %+v is held", tt.name, held)
		}
		if tt.size == 1 && (len(held.pieces) != maxPieces || w.tr.stats.BufferDropped == 0) {
			t.Errorf("%s: %d pieces, %d bytes dropped; want %d and some", tt.name, len(held.pieces), w.tr.stats.BufferDropped, maxPieces)
		}
		verify(t, w.tr)
	}
	w := wire{tr: New(Options{MaxConnBuffered: 20 << 10}), now: epoch}
	w.open(0)
	b := string(bytes.Repeat([]byte("x"), 1000))
	for i := range 30 {
		w.send(clientEnd(0), serverEnd, capture.ACK, 110+uint32(i*2000), 500, b)
	}
	if held := w.tr.table.slab.at(1).half[capture.ToServer].held; held.cost > 20<<10 || w.tr.stats.BufferDropped == 0 {
		t.Errorf("%d bytes held of %d, %d dropped", held.cost, 20<<10, w.tr.stats.BufferDropped)
	}
}

// TestReusedPortsHaveTheirOwnID: a connection on used ports is named by its
// SYN, which came before the server decided for it.
func TestReusedPortsHaveTheirOwnID(t *testing.T) {
	w := wire{tr: New(Options{}), now: epoch}
	w.open(0)
	w.send(clientEnd(0), serverEnd, capture.SYN, 900_000, 0, "")
	at := w.now
	for _, e := range w.send(serverEnd, clientEnd(0), capture.SYN|capture.ACK, 7, 900_001, "") {
		if e.Kind == Opened && (e.Conn != ConnID(at) || e.Flow.Client != clientEnd(0)) {
			t.Errorf("opened %d of %v, want %d", e.Conn, e.Flow.Client, at)
		}
	}
}

// TestH2AnswerIsNotOwed: from the first byte of its answer on a stream is owed
// none, and a server's reset behind a whole answer changes nothing.
func TestH2AnswerIsNotOwed(t *testing.T) {
	c, s := newH2Peer(), newH2Peer()
	c.out.WriteString(http2.ClientPreface)
	c.request(1, true, "/")
	c.request(3, false, "/")
	p := newHTTPPlayer()
	p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch, c.take())
	if p.m.owed() != 1 {
		t.Fatalf("%d owed, want 1", p.m.owed())
	}
	s.answer(1, false, "200")
	s.answer(3, true, "200")
	s.frames.WriteRSTStream(3, http2.ErrCodeNo)
	p.m.bytes(&p.sh, &p.id, capture.ToClient, epoch.Add(time.Second), s.take())
	if p.m.owed() != 0 || p.sh.stats.InFlight != 0 {
		t.Errorf("%d owed, %d in flight; want none", p.m.owed(), p.sh.stats.InFlight)
	}
	done := 0
	for _, e := range p.sh.out {
		if e.Kind == ExchangeDone {
			if done++; e.Exchange.StreamID != 3 || e.Exchange.Outcome != Answered {
				t.Errorf("stream %d ended with %d", e.Exchange.StreamID, e.Exchange.Outcome)
			}
		}
	}
	if done != 1 {
		t.Errorf("%d exchanges ended, want 1", done)
	}
}
