package pipeline

import (
	"encoding/binary"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// fragment makes a frame with an IPv4 fragment of n bytes of TCP at off.
func fragment(id uint16, off, n int, more bool) []byte {
	f := make([]byte, 14+20+n)
	f[12] = 8
	h := f[14:34]
	h[0], h[8], h[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(h[2:], uint16(20+n))
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], uint16(off/8))
	if more {
		h[6] |= 0x20
	}
	copy(h[12:], "\x0a\x00\x00\x01\x0a\x00\x00\x02")
	binary.BigEndian.PutUint16(h[10:], ^capture.Fold(capture.Sum(0, h)))
	return f
}

// TestFragmentsAreToldOf: fragments that overlap are an oddity, and those that
// are given up a bound that was reached.
func TestFragmentsAreToldOf(t *testing.T) {
	p, err := New(Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	at := synth.Start
	send := func(f []byte) {
		at = at.Add(time.Second)
		p.Item(&capture.Item{At: at, Kind: capture.PacketSeen, Packet: capture.Packet{Data: f, Length: len(f), Link: capture.LinkEthernet}})
	}
	send(fragment(1, 0, 64, true))
	send(fragment(1, 56, 64, false))
	send(fragment(2, 0, 64, true))
	at = at.Add(time.Minute)
	send(fragment(3, 0, 64, true))
	p.Flush()
	st := p.Stats()
	if n := st.Tracker.Oddities[httpreassembly.FragmentsOverlap]; n != 2 {
		t.Errorf("%d fragments overlap, want 2", n)
	}
	if b := st.Bounds(); len(b) != 1 || b[0] != (Bound{"fragments_dropped", 1}) {
		t.Errorf("bounds %v, want one fragment dropped", b)
	}
}
