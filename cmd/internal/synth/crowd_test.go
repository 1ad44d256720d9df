package synth

import (
	"io"
	"strings"
	"testing"

	"stallwatch/capture"
)

// TestCrowd: the frames are whole, grow in time, and a Generator may follow.
func TestCrowd(t *testing.T) {
	if n := len(call) - strings.Index(call, "{"); n != 38 {
		t.Errorf("the call's content has %d bytes and announces 38", n)
	}
	p := Small
	p.Packets = 100
	src := &Chain{Idle(10), SynFlood(10), OutOfOrder(10, 5), Stalled(10), New(p, 1)}
	want := 10*5 + 10 + 10*8 + 10*4 + 100
	var it capture.Item
	n := 0
	for src.Next(&it) == nil {
		if n++; len(it.Packet.Data) != it.Packet.Length || it.Packet.Length < 54 || it.Kind != capture.PacketSeen {
			t.Fatalf("packet %d: %+v", n, it)
		}
	}
	if n != want || src.Next(&it) != io.EOF {
		t.Errorf("%d packets, want %d", n, want)
	}
	var last capture.Time
	c := OutOfOrder(7, 3)
	for c.Next(&it) == nil {
		if it.At <= last || it.At >= Start {
			t.Fatalf("at %d after %d, before %d", it.At, last, Start)
		}
		last = it.At
	}
}
