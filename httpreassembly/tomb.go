package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// tombs remember the connections that ended, so that a late or repeated
// segment does not raise a phantom: without them every duplicated last ACK
// looked like a connection picked up in its middle.
//
// Bounded by Options.MaxTombs: a tomb is 56 bytes and some 16 in the index,
// and a connection, which the flow table would otherwise keep for a minute, is
// four times that. When it is full the oldest goes first; what then comes late
// can only be an orphan or, with payload, a connection in its middle.
type tombs struct {
	index index  // of places in ring, from 1
	ring  []tomb // in order of ending, as a circle
	head  int
	n     int
}

type tomb struct {
	flow capture.Flow
	hash uint32       // of flow, as the table has it
	at   capture.Time // when the connection ended; cleared: a new one began on its ends
}

// cleared is before every time there is, with room for a Linger to be added.
const cleared capture.Time = -1 << 62

// find returns the tomb of the ends a and b, in whichever order; nil: none.
func (ts *tombs) find(h uint32, a, b *capture.Endpoint) *tomb {
	if ts.n == 0 {
		return nil
	}
	slots := ts.index.slots
	mask := uint32(len(slots) - 1)
	for i := h & mask; slots[i].ref != 0; i = (i + 1) & mask {
		if slots[i].hash != h {
			continue
		}
		tb := &ts.ring[slots[i].ref-1]
		if f := &tb.flow; f.Client.Is(a) && f.Server.Is(b) || f.Client.Is(b) && f.Server.Is(a) {
			return tb
		}
	}
	return nil
}

// bury remembers f, whose hash is h, and reports whether the oldest tomb
// before its time had to make room.
func (ts *tombs) bury(h uint32, f *capture.Flow, now capture.Time, most int) (crowded bool) {
	if tb := ts.find(h, &f.Client, &f.Server); tb != nil {
		tb.at = now // its place in the ring is too early: those behind it wait for it
		return false
	}
	if crowded = ts.n >= most; crowded {
		ts.drop()
	}
	if ts.n == len(ts.ring) {
		ts.grow(most)
	}
	i := (ts.head + ts.n) % len(ts.ring)
	ts.ring[i] = tomb{*f, h, now}
	ts.index.add(slot{h, uint32(i + 1)})
	ts.n++
	return crowded
}

func (ts *tombs) grow(most int) {
	ring := make([]tomb, min(max(64, 2*len(ts.ring)), max(most, 1)))
	ts.index.init(len(ring) * 2)
	for i := range ts.n {
		ring[i] = ts.ring[(ts.head+i)%len(ts.ring)]
		ts.index.add(slot{ring[i].hash, uint32(i + 1)})
	}
	ts.ring, ts.head = ring, 0
}

func (ts *tombs) drop() {
	ts.index.remove(slot{ts.ring[ts.head].hash, uint32(ts.head + 1)})
	ts.head = (ts.head + 1) % len(ts.ring)
	ts.n--
}

// holds reports whether the connection of s, whose hash is h, ended less than
// linger ago.
func (ts *tombs) holds(h uint32, s *capture.Segment, linger time.Duration) bool {
	tb := ts.find(h, &s.Src, &s.Dst)
	return tb != nil && s.At < tb.at.Add(linger)
}

// clear forgets that a connection on the ends of s has ended: a new one begins.
func (ts *tombs) clear(h uint32, s *capture.Segment) {
	if tb := ts.find(h, &s.Src, &s.Dst); tb != nil {
		tb.at = cleared
	}
}

// sweep drops what is older than linger.
func (ts *tombs) sweep(now capture.Time, linger time.Duration) {
	for range 2 * maxSweep {
		if ts.n == 0 || ts.ring[ts.head].at.Add(linger) > now {
			return
		}
		ts.drop()
	}
}

// maxSweep tombs are dropped for each connection that ends: enough to shrink,
// few enough not to stall a packet.
const maxSweep = 4
